"""1-Lipschitz layers: orthogonal and rescaled weights, activations, residuals and pooling.

Networks of orthogonal layers with sorting in place of ReLU approximate every 1-Lipschitz function
(Anil, Lucas, Grosse 2019, arXiv:1811.05381). The functions ``orthogonal_*`` and ``aol_*`` return
plain layers of torch whose weight is computed from a free parameter, so every optimizer trains
them. All layers go into ``nn.Sequential`` or any other module, and ``sngan.lipschitz_bounds``
proves the constant of the whole network.

========================================== ========================= ==============================
Layer                                      Constant                  Source
========================================== ========================= ==============================
``orthogonal_linear``                      1, all singular values 1  Anil et al. 2019
``orthogonal_convolution``                 1, all singular values 1  the same, separate patches
``orthogonal_conv2d``                      1, all singular values 1  Boissin et al. 2025
``CayleyConv2d``                           1, all singular values 1  Trockman, Kolter 2021
``aol_linear``, ``aol_conv2d``             at most 1                 Prach, Lampert 2022
``SLLLinear``, ``SLLConv2d``               at most 1                 Araujo et al. 2023
``MaxMin``, ``GroupSort``                  1, keeps gradients' norm  Anil et al. 2019
``HouseholderActivation``                  1, keeps gradients' norm  Singla, Singla, Feizi 2022
``AveragedResidual``, ``LearnedResidual``  at most that of a branch  Serrurier et al. 2021
``BatchCentering``                         1 in eval mode            Boissin et al. 2025
``L2NormPool2d``                           1 without overlap         Boureau et al. 2010
``InvertibleDownsampling``                 1, keeps norms            Jacobsen et al. 2018
========================================== ========================= ==============================
"""

from sngan.lipschitz.blocks.aol import aol_conv2d as aol_conv2d
from sngan.lipschitz.blocks.aol import aol_linear as aol_linear
from sngan.lipschitz.blocks.cayley import CayleyConv2d as CayleyConv2d
from sngan.lipschitz.blocks.centering import BatchCentering as BatchCentering
from sngan.lipschitz.blocks.downsampling import InvertibleDownsampling as InvertibleDownsampling
from sngan.lipschitz.blocks.downsampling import orthogonal_convolution as orthogonal_convolution
from sngan.lipschitz.blocks.householder import HouseholderActivation as HouseholderActivation
from sngan.lipschitz.blocks.linear import ORTHOGONAL_MAPS as ORTHOGONAL_MAPS
from sngan.lipschitz.blocks.linear import orthogonal_linear as orthogonal_linear
from sngan.lipschitz.blocks.orthogonal_conv import orthogonal_conv2d as orthogonal_conv2d
from sngan.lipschitz.blocks.pooling import L2NormPool2d as L2NormPool2d
from sngan.lipschitz.blocks.residual import AveragedResidual as AveragedResidual
from sngan.lipschitz.blocks.residual import LearnedResidual as LearnedResidual
from sngan.lipschitz.blocks.sll import SLLConv2d as SLLConv2d
from sngan.lipschitz.blocks.sll import SLLLinear as SLLLinear
from sngan.lipschitz.blocks.sorting import GroupSort as GroupSort
from sngan.lipschitz.blocks.sorting import MaxMin as MaxMin
