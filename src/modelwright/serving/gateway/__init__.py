"""The Open Inference Protocol over gRPC: a process beside an endpoint that passes requests on to it over HTTP.

`protocol` has the messages, `passing` makes them requests of HTTP and back, `serving` listens. It needs the extra
`modelwright[grpc]`.
"""
