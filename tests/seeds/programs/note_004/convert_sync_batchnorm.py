# the method as the note shows it; here in a class, and with a body
class SyncBatchNorm:
    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None):
        ...
