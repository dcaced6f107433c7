"""The workloads on text: a small GPT, an LSTM tagger with sentences of varying length."""

from __future__ import annotations

from typing import Any

from benchmarks.models import Step, Wrap, as_written, training, transformer_block

LENGTHS = range(5, 31)  # words in the tagger's sentences


def gpt_network(
    torch: Any, vocabulary: int, context: int, width: int, heads: int, layers: int
) -> Any:
    """A decoder in GPT-2's layout: causal attention, GELU, norms first, tied embedding."""
    nn, functional = torch.nn, torch.nn.functional

    class Attention(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(width, 3 * width)
            self.proj = nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            batch, tokens, _ = x.size()
            q, k, v = self.qkv(x).split(width, dim=2)
            k = k.view(batch, tokens, heads, width // heads).transpose(1, 2)
            q = q.view(batch, tokens, heads, width // heads).transpose(1, 2)
            v = v.view(batch, tokens, heads, width // heads).transpose(1, 2)
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.proj(y.transpose(1, 2).contiguous().view(batch, tokens, width))

    block = transformer_block(torch, width, Attention)

    class GPT(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.wte = nn.Embedding(vocabulary, width)
            self.wpe = nn.Embedding(context, width)
            self.blocks = nn.ModuleList([block() for _ in range(layers)])
            self.ln_f = nn.LayerNorm(width)
            self.lm_head = nn.Linear(width, vocabulary, bias=False)
            self.wte.weight = self.lm_head.weight
            for module in self.modules():
                if isinstance(module, (nn.Linear, nn.Embedding)):
                    nn.init.normal_(module.weight, mean=0.0, std=0.02)

        def forward(self, tokens: Any) -> Any:
            positions = torch.arange(0, tokens.size(1), dtype=torch.long)
            x = self.wte(tokens) + self.wpe(positions)
            for each in self.blocks:
                x = each(x)
            return self.lm_head(self.ln_f(x))

    return GPT()


def gpt(torch: Any, wrap: Wrap = as_written) -> Step:
    """A GPT of 4 layers, width 128, 4 heads, 16 x 64 tokens of 256, AdamW with weight decay."""
    vocabulary, context, batch = 256, 64, 16
    torch.manual_seed(0)
    net = gpt_network(torch, vocabulary, context, width=128, heads=4, layers=4)
    parameters = list(net.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95))
    text = torch.randint(0, vocabulary, (8, batch, context + 1))

    def criterion(logits: Any, targets: Any) -> Any:
        return torch.nn.functional.cross_entropy(
            logits.view(-1, logits.size(-1)), targets.reshape(-1)
        )

    batches = [(text[i, :, :-1], text[i, :, 1:]) for i in range(len(text))]
    return training(net, criterion, optimizer, batches, wrap)


def lstm_tagger(torch: Any, wrap: Wrap = as_written) -> Step:
    """An LSTM tagger (the PyTorch tutorial's), one sentence a step, of 5 to 30 words, SGD."""
    nn, functional = torch.nn, torch.nn.functional
    words, tags, width = 1000, 12, 64

    class LSTMTagger(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.word_embeddings = nn.Embedding(words, width)
            self.lstm = nn.LSTM(width, width)
            self.hidden2tag = nn.Linear(width, tags)

        def forward(self, sentence: Any) -> Any:
            embeds = self.word_embeddings(sentence)
            lstm_out, _ = self.lstm(embeds.view(len(sentence), 1, -1))
            tag_space = self.hidden2tag(lstm_out.view(len(sentence), -1))
            return functional.log_softmax(tag_space, dim=1)

    torch.manual_seed(1)
    model = LSTMTagger()
    loss_function = nn.NLLLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sentences = [
        (torch.randint(0, words, (length,)), torch.randint(0, tags, (length,)))
        for length in LENGTHS
    ]
    return training(model, loss_function, optimizer, sentences, wrap)
