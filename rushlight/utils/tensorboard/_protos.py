"""TensorBoard's own records and files: all that is written goes through them."""

from __future__ import annotations

try:
    from google.protobuf import text_format as text_format
    from google.protobuf.struct_pb2 import ListValue as ListValue, Value as ListedValue
    from tensorboard.compat.proto.attr_value_pb2 import AttrValue as AttrValue
    from tensorboard.compat.proto.config_pb2 import RunMetadata as RunMetadata
    from tensorboard.compat.proto.event_pb2 import (
        Event as Event,
        SessionLog as SessionLog,
        TaggedRunMetadata as TaggedRunMetadata,
    )
    from tensorboard.compat.proto.graph_pb2 import GraphDef as GraphDef
    from tensorboard.compat.proto.node_def_pb2 import NodeDef as NodeDef
    from tensorboard.compat.proto.step_stats_pb2 import (
        DeviceStepStats as DeviceStepStats,
        StepStats as StepStats,
    )
    from tensorboard.compat.proto.summary_pb2 import (
        HistogramProto as HistogramProto,
        Summary as Summary,
        SummaryMetadata as SummaryMetadata,
    )
    from tensorboard.compat.proto.tensor_pb2 import TensorProto as TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto as TensorShapeProto
    from tensorboard.compat.proto.versions_pb2 import VersionDef as VersionDef
    from tensorboard.plugins.custom_scalar import layout_pb2 as layout_pb2
    from tensorboard.plugins.hparams import (
        api_pb2 as hparams_api,
        metadata as hparams_metadata,
        plugin_data_pb2 as hparams_data,
    )
    from tensorboard.plugins.mesh import metadata as mesh_metadata
    from tensorboard.plugins.mesh.plugin_data_pb2 import MeshPluginData as MeshPluginData
    from tensorboard.plugins.pr_curve.plugin_data_pb2 import (
        PrCurvePluginData as PrCurvePluginData,
    )
    from tensorboard.plugins.projector.projector_config_pb2 import (
        EmbeddingInfo as EmbeddingInfo,
        ProjectorConfig as ProjectorConfig,
    )
    from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData as TextPluginData
    from tensorboard.summary.writer.event_file_writer import EventFileWriter as EventFileWriter
    from tensorboard.summary.writer.record_writer import RecordWriter as RecordWriter
    from tensorboard.util import tensor_util as tensor_util
except ImportError as error:
    raise ImportError(
        f"rushlight.utils.tensorboard needs the package tensorboard ({error}).\n"
        "Install it with: pip install 'rushlight[tensorboard]'"
    ) from error

__all__ = [
    "AttrValue", "DeviceStepStats", "EmbeddingInfo", "Event", "EventFileWriter", "GraphDef",
    "HistogramProto", "ListValue", "ListedValue", "MeshPluginData", "NodeDef",
    "PrCurvePluginData", "ProjectorConfig", "RecordWriter", "RunMetadata", "SessionLog",
    "StepStats", "Summary", "SummaryMetadata", "TaggedRunMetadata", "TensorProto",
    "TensorShapeProto", "TextPluginData", "VersionDef", "hparams_api", "hparams_data",
    "hparams_metadata", "layout_pb2", "mesh_metadata", "tensor_util", "text_format",
]  # fmt: skip
