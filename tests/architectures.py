"""Every option of every architecture, once: for the oracles, the importer, TorchScript and torch.export."""

from structures import SPECIES

R_MAX = 4.0
# What either architecture needs so that nothing is left to statistics of data.
_COMMON = {
    "r_max": R_MAX,
    "avg_num_neighbors": 17.0,
    "per_type_energy_scales": dict(zip(SPECIES, (1.0, 2.0, 3.0), strict=True)),
    "per_type_energy_shifts": dict(zip(SPECIES, (-1.0, 2.0, -3.0), strict=True)),
}
_NEQUIP = {"radial_mlp_width": 16}
_ALLEGRO = {
    "l_max": 2,
    "num_scalar_features": 8,
    "num_tensor_features": 4,
    "scalar_embed_mlp_hidden_layers_width": 12,
    "allegro_mlp_hidden_layers_width": 12,
    "readout_mlp_hidden_layers_width": 6,
}
_NEQUIP_OPTIONS = {
    "no parity": {"num_layers": 3, "l_max": 2, "parity": False, "num_features": 4},
    "parity": {"num_layers": 2, "l_max": 2, "parity": True, "num_features": 4},
    "parity, three layers": {"num_layers": 3, "l_max": 1, "parity": True, "num_features": 3},
    "deep radial": {"num_layers": 2, "l_max": 1, "parity": True, "num_features": 4, "radial_mlp_depth": 2},
    "no radial perceptron": {"num_layers": 2, "l_max": 1, "num_features": 4, "radial_mlp_depth": 0},
    "channels per l": {"num_layers": 3, "l_max": 3, "parity": True, "num_features": [4, 3, 2, 5]},
    "l_max 0": {"num_layers": 2, "l_max": 0, "parity": False, "num_features": 4},
    "l_max 4": {"num_layers": 2, "l_max": 4, "parity": False, "num_features": [4, 3, 2, 1, 1]},
    "one layer": {"num_layers": 1, "l_max": 1, "num_features": 4},
    "own embedding": {"num_layers": 2, "l_max": 1, "num_features": 4, "type_embed_num_features": 6},
    "other basis": {
        "num_layers": 2,
        "l_max": 1,
        "num_features": 4,
        "num_bessels": 5,
        "polynomial_cutoff_p": 4,
        "bessel_trainable": True,
    },
    "deep readout": {
        "num_layers": 2,
        "num_features": 4,
        "readout_mlp_hidden_layers_depth": 2,
        "readout_mlp_hidden_layers_width": 5,
        "readout_mlp_nonlinearity": "mish",
    },
    "linear deep readout": {
        "num_layers": 2,
        "num_features": 4,
        "readout_mlp_hidden_layers_depth": 1,
        "readout_mlp_nonlinearity": None,
    },
    "gelu readout": {
        "num_layers": 2,
        "num_features": 4,
        "readout_mlp_hidden_layers_depth": 1,
        "readout_mlp_nonlinearity": "gelu",
    },
    "per species": {
        "num_layers": 3,
        "num_features": 4,
        "avg_num_neighbors": {"Li": 9.0, "P": 17.0, "S": 25.0},
        "per_type_energy_scales_trainable": True,
        "per_type_energy_shifts_trainable": True,
    },
    "cutoffs per pair": {
        "num_layers": 2,
        "l_max": 2,
        "num_features": 4,
        "per_edge_type_cutoff": {"Li": 3.1, "S": {"P": 2.7, "S": 3.8}},
    },
    "repulsion": {"num_layers": 2, "num_features": 4, "pair_potential": "zbl"},
    "repulsion with cutoffs per pair": {
        "num_layers": 2,
        "num_features": 4,
        "pair_potential": "zbl",
        "per_edge_type_cutoff": {"Li": 3.1},
    },
}
_ALLEGRO_OPTIONS = {
    "parity": {"parity": True},
    "no parity": {"parity": False},
    "one layer": {"num_layers": 1},
    "three layers": {"num_layers": 3, "l_max": 1},  # the middle one sees 1e
    "five layers": {"num_layers": 5, "l_max": 1, "num_tensor_features": 2},  # the middle one sees 0o
    "three layers, no parity": {"num_layers": 3, "l_max": 2, "parity": False, "num_tensor_features": 3},
    "l_max 0": {"l_max": 0},
    "l_max 0, no coupling": {"l_max": 0, "tp_path_channel_coupling": False},
    "l_max 3": {"l_max": 3, "num_tensor_features": 2},
    "l_max 4": {"l_max": 4, "parity": False, "num_tensor_features": 2},
    "no coupling": {"tp_path_channel_coupling": False},
    "spline": {"radial_chemical_embed": "spline", "num_splines": 7, "spline_span": 4},
    "spline, narrow": {"radial_chemical_embed": "spline", "spline_span": 1, "radial_chemical_embed_dim": 5},
    "other embedding": {
        "radial_chemical_embed_dim": 10,
        "num_bessels": 5,
        "bessel_trainable": True,
        "polynomial_cutoff_p": 8,
    },
    "mish and gelu": {
        "scalar_embed_mlp_nonlinearity": "mish",
        "scalar_embed_mlp_hidden_layers_depth": 2,
        "allegro_mlp_nonlinearity": "gelu",
        "allegro_mlp_hidden_layers_depth": 2,
        "readout_mlp_nonlinearity": "mish",
    },
    "no nonlinearity": {
        "scalar_embed_mlp_nonlinearity": None,
        "allegro_mlp_nonlinearity": None,
        "allegro_mlp_hidden_layers_depth": 2,
        "readout_mlp_nonlinearity": None,
    },
    "no hidden layers": {
        "scalar_embed_mlp_hidden_layers_depth": 0,
        "allegro_mlp_hidden_layers_depth": 0,
        "readout_mlp_hidden_layers_depth": 0,
    },
    "deep readout": {"readout_mlp_hidden_layers_depth": 3},
    "per species": {
        "avg_num_neighbors": {"Li": 9.0, "P": 17.0, "S": 25.0},
        "per_type_energy_scales_trainable": True,
        "per_type_energy_shifts_trainable": True,
    },
    "cutoffs per pair": {"per_edge_type_cutoff": {"Li": 3.1, "S": {"P": 2.7, "S": 3.8}}},
    "spline with cutoffs per pair": {
        "radial_chemical_embed": "spline",
        "per_edge_type_cutoff": {"P": {"Li": 3.1}, "S": 3.5},
    },
    "repulsion": {"pair_potential": "zbl"},
    "spline with repulsion": {"radial_chemical_embed": "spline", "pair_potential": "zbl"},
}

NEQUIP = {name: _COMMON | _NEQUIP | options for name, options in _NEQUIP_OPTIONS.items()}
ALLEGRO = {name: _COMMON | _ALLEGRO | options for name, options in _ALLEGRO_OPTIONS.items()}
# Their kernels take far longer to compile than those of the others.
DEAR = {"channels per l", "l_max 3", "l_max 4"}
