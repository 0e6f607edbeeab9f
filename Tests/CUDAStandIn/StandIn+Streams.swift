internal import CUDADriver

extension StandIn {
    static func setStreams(_ table: inout DriverTable) {
        table.cuStreamCreateWithPriority = { stream, _, _ in
            StandIn.call("cuStreamCreateWithPriority") {
                stream.pointee = $0.acquire(.stream)
                return 0
            }
        }
        table.cuStreamDestroy = { stream in
            StandIn.call("cuStreamDestroy") {
                $0.release(.stream, UInt64(stream)) == nil ? StandIn.invalidValue : 0
            }
        }
        table.cuStreamSynchronize = { stream in
            StandIn.call("cuStreamSynchronize") { $0.use(.stream, stream) }
        }
        table.cuStreamQuery = { stream in StandIn.call("cuStreamQuery") { $0.use(.stream, stream) }
        }
        table.cuStreamWaitEvent = { stream, event, _ in
            StandIn.call("cuStreamWaitEvent") {
                max($0.use(.stream, stream), $0.use(.event, event))
            }
        }
        table.cuEventCreate = { event, _ in
            StandIn.call("cuEventCreate") {
                event.pointee = $0.acquire(.event)
                return 0
            }
        }
        table.cuEventDestroy = { event in
            StandIn.call("cuEventDestroy") {
                $0.release(.event, UInt64(event)) == nil ? StandIn.invalidValue : 0
            }
        }
        table.cuEventRecord = { event, stream in
            StandIn.call("cuEventRecord") { max($0.use(.stream, stream), $0.use(.event, event)) }
        }
        table.cuEventSynchronize = { event in
            StandIn.call("cuEventSynchronize") { $0.use(.event, event) }
        }
        table.cuEventQuery = { event in StandIn.call("cuEventQuery") { $0.use(.event, event) } }
        table.cuEventElapsedTime = { time, start, end in
            StandIn.call("cuEventElapsedTime") {
                time.pointee = 1.5
                return max($0.use(.event, start), $0.use(.event, end))
            }
        }
        table.cuStreamBeginCapture = { stream, _ in
            StandIn.call("cuStreamBeginCapture") {
                let status = $0.use(.stream, stream)
                guard status == 0, $0.capturing.insert(stream).inserted else {
                    return StandIn.invalidValue
                }
                return 0
            }
        }
        table.cuStreamEndCapture = { stream, graph in
            StandIn.call("cuStreamEndCapture") {
                guard $0.capturing.remove(stream) != nil else { return 903 }
                graph.pointee = $0.acquire(.graph)
                return 0
            }
        }
        table.cuGraphInstantiate = { executable, graph, _ in
            StandIn.call("cuGraphInstantiate") {
                let status = $0.use(.graph, graph)
                if status == 0 { executable.pointee = $0.acquire(.executable) }
                return status
            }
        }
        table.cuGraphUpload = { executable, stream in
            StandIn.call("cuGraphUpload") {
                max($0.use(.executable, executable), $0.use(.stream, stream))
            }
        }
        table.cuGraphLaunch = { executable, stream in
            StandIn.call("cuGraphLaunch") {
                max($0.use(.executable, executable), $0.use(.stream, stream))
            }
        }
        table.cuGraphExecDestroy = { executable in
            StandIn.call("cuGraphExecDestroy") {
                $0.release(.executable, UInt64(executable)) == nil ? StandIn.invalidValue : 0
            }
        }
        table.cuGraphDestroy = { graph in
            StandIn.call("cuGraphDestroy") {
                $0.release(.graph, UInt64(graph)) == nil ? StandIn.invalidValue : 0
            }
        }
    }
}
