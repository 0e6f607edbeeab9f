import ArgumentParser

/// `--device`.
enum DeviceOption: String, ExpressibleByArgument, CaseIterable {
    case cpu
    case cuda
}
