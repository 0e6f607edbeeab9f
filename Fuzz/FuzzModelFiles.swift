import ModelFiles

// libFuzzer's entry point for the readers of model files.
//
// The first byte of an input chooses the reader, the rest is the file. The readers must return or throw
// ModelFileError; a trap, an access outside the input or too much memory is a finding.

private func readEverything(gguf file: MappedFile) throws {
    let reader = try GGUFReader(file: file)
    for key in reader.keys {
        guard let array = reader[key]?.array else { continue }
        _ = array.strings()
        _ = array.floats()
        _ = array.integers()
        _ = array.arrays()?.map { $0.integers() }
    }
    for tensor in reader.tensors { _ = tensor.bytes.reduce(0, ^) }
    let checkpoint = try Checkpoint(gguf: reader)
    _ = try? checkpoint.tokenizerFields()
    _ = try? checkpoint.chatTemplate()
}

private func readEverything(safetensors file: MappedFile) throws {
    let reader = try SafetensorsReader(file: file)
    for entry in reader.entries {
        _ = entry.bytes.reduce(0, ^)
        _ = try? reader.tensor(named: entry.name)?.floats()
    }
}

private func readEverything(configuration file: MappedFile) throws {
    let configuration = try ModelConfiguration(configJSON: file.bytes, path: file.path)
    _ = configuration.tensorNames.map { configuration.shape(of: $0) }
    for layer in 0..<configuration.layerCount {
        _ = configuration.rotary(layer: layer).frequencies(headSize: configuration.headSize)
    }
    withExtendedLifetime(file) {}
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    guard let kind = bytes.first,
        let file = try? MappedFile(
            copying: UnsafeRawBufferPointer(rebasing: bytes.dropFirst()), path: "fuzz")
    else { return 0 }
    do {
        switch kind {
        case UInt8(ascii: "g"): try readEverything(gguf: file)
        case UInt8(ascii: "s"): try readEverything(safetensors: file)
        default: try readEverything(configuration: file)
        }
    } catch {
        precondition(error is ModelFileError)
    }
    return 0
}
