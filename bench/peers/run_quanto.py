"""optimum-quanto: qint8, qint4, qint2 of the blocks' linears, round to nearest, saved dense as it dequantizes them."""
import peer_model


def main() -> None:
    args = peer_model.arguments(__doc__)
    import torch
    from optimum import quanto
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    quanto.quantize(model, weights=getattr(quanto, args.scheme), exclude="lm_head")
    quanto.freeze(model)
    dequantized = {name: module.weight.dequantize() for name, module in model.named_modules()
                   if isinstance(module, quanto.QLinear)}
    peer_model.save_dense(model, args, dequantized)


if __name__ == "__main__":
    main()
