"""What the backends can do: ``torch.backends``."""

from rushlight.backends import cudnn as cudnn, mps as mps
