"""mlx-lm's own `convert`: all of the model at so many bits in groups of 64, embedding included, or by one of its recipes
(`--quant-predicate mixed_3_4`). The scheme is a number of bits or a recipe's name. A folder of MLX, which `strata eval` reads.
"""
import subprocess
import sys

import peer_model


def main() -> None:
    args = peer_model.arguments(__doc__)
    how = ["--q-bits", args.scheme, "--q-group-size", "64"] if args.scheme.isdigit() else ["--quant-predicate", args.scheme]
    subprocess.run([sys.executable, "-m", "mlx_lm", "convert", "--hf-path", str(args.model.resolve()), "--mlx-path", str(args.out), "-q",
                    *how], check=True)


if __name__ == "__main__":
    main()
