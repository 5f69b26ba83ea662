"""The text encoder: BERT without its pooler."""

from typing import TYPE_CHECKING

from baselines.config import TextConfig

if TYPE_CHECKING:
    from transformers.models.bert.modeling_bert import BertModel


def text_encoder(config: TextConfig) -> "BertModel":
    """Return an untrained BERT of the given sizes, without pooler.

    Devlin et al., BERT: pre-training of deep bidirectional transformers for language understanding (2019).
    """
    # transformers takes a second to import, which only those who build a network should pay.
    from transformers import BertConfig
    from transformers.models.bert.modeling_bert import BertModel

    bert = BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.intermediate,
        max_position_embeddings=config.max_positions,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
    )
    return BertModel(bert, add_pooling_layer=False)
