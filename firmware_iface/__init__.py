"""The machine under the gateway: what it has, as plain data. Imports neither the control plane nor the kernels."""
