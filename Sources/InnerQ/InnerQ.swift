@_exported public import Calibration
@_exported public import Generation
@_exported public import KVCache
@_exported public import ModelFiles
@_exported public import Threading
@_exported public import Transformer
