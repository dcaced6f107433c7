dist.init_process_group(backend='nccl')
# backend是后台利用nccl进行通信
