"""Units. Inside Vitreous: eV, A, fs, K, amu, e; pressure in GPa and diffusivity in cm^2/s at I/O.

Source: CODATA 2018 through `ase.units` where a value is shared with ASE.
"""

BOLTZMANN_EV_PER_K = 8.617333262e-5
ELEMENTARY_CHARGE_C = 1.602176634e-19

EV_PER_A3_IN_GPA = 160.21766208
EV_PER_A2_IN_J_PER_M2 = 16.021766208
FS_PER_PS = 1000.0
FS_PER_NS = 1e6
SECONDS_PER_DAY = 86400.0
# m v^2 with m in amu and v in A/fs, in eV.
AMU_A2_PER_FS2_IN_EV = 103.642696
AMU_PER_A3_IN_G_PER_CM3 = 1.66053906660
A2_PER_PS_IN_CM2_PER_S = 1e-4
