"""Training settings that papers and their code publish.

What a recipe says of its equilibrium follows from its numbers alone, so these are the numbers:
`lr` and `wd` at their peak, with every linear scaling by the batch carried out, and `wd` in
PyTorch's convention. All the decays below follow the schedule of the learning rate.
"""

from typing import Final

from etaeff.errors import UnknownNameError
from etaeff.theory.settings._published import PublishedSetting

_IMAGENET: Final = 1_281_167
_CIFAR: Final = 50_000

PUBLISHED_SETTINGS: Final[tuple[PublishedSetting, ...]] = (
    PublishedSetting(
        name="resnet50-imagenet",
        model="ResNet-50",
        data="ImageNet-1k",
        optimizer="sgd",
        lr=0.1,
        wd=1e-4,
        momentum=0.9,
        nesterov=False,
        batch=256,
        batch_unit="images",
        examples=_IMAGENET,
        steps=90 * 5005,
        schedule="step",
        source="pytorch/examples, imagenet/main.py (defaults); "
        "pytorch/vision, references/classification/README.md",
    ),
    PublishedSetting(
        name="resnet50-imagenet-8k",
        model="ResNet-50",
        data="ImageNet-1k",
        optimizer="sgd",
        lr=3.2,  # 0.1 · 8192/256
        wd=1e-4,
        momentum=0.9,
        nesterov=True,
        batch=8192,
        batch_unit="images",
        examples=_IMAGENET,
        steps=90 * 156,
        schedule="step",
        source="Goyal et al., arXiv:1706.02677, section 5.1",
    ),
    PublishedSetting(
        name="resnet50-imagenet-v2",
        model="ResNet-50",
        data="ImageNet-1k",
        optimizer="sgd",
        lr=0.5,
        wd=2e-5,
        momentum=0.9,
        nesterov=False,
        batch=1024,  # 8 GPUs of 128
        batch_unit="images",
        examples=_IMAGENET,
        steps=600 * 1251,
        schedule="cosine",
        source="pytorch/vision, issue #3995 (weights IMAGENET1K_V2)",
    ),
    PublishedSetting(
        name="resnet-cifar10",
        model="ResNet-20 to ResNet-56",
        data="CIFAR-10",
        optimizer="sgd",
        lr=0.1,
        wd=1e-4,
        momentum=0.9,
        nesterov=False,
        batch=128,
        batch_unit="images",
        examples=_CIFAR,
        steps=64_000,
        schedule="step",
        source="He et al., arXiv:1512.03385, section 4.2",
    ),
    PublishedSetting(
        name="wrn-28-10-cifar10",
        model="Wide ResNet-28-10",
        data="CIFAR-10",
        optimizer="sgd",
        lr=0.1,
        wd=5e-4,
        momentum=0.9,
        nesterov=True,
        batch=128,
        batch_unit="images",
        examples=_CIFAR,
        steps=200 * 390,
        schedule="step",
        source="Zagoruyko & Komodakis, arXiv:1605.07146; "
        "szagoruyko/wide-residual-networks, train.lua and scripts/train_cifar.sh",
    ),
    PublishedSetting(
        name="pytorch-cifar",
        model="ResNet-18 and others",
        data="CIFAR-10",
        optimizer="sgd",
        lr=0.1,
        wd=5e-4,
        momentum=0.9,
        nesterov=False,
        batch=128,
        batch_unit="images",
        examples=_CIFAR,
        steps=200 * 391,
        schedule="cosine",
        source="kuangliu/pytorch-cifar, main.py",
    ),
    PublishedSetting(
        name="vit-b16-imagenet",
        model="ViT-B/16",
        data="ImageNet-1k",
        optimizer="adamw",
        lr=3e-3,
        wd=0.3,
        betas=(0.9, 0.999),
        batch=4096,
        batch_unit="images",
        examples=_IMAGENET,
        steps=300 * 313,
        schedule="cosine",
        source="pytorch/vision, references/classification/README.md",
    ),
    PublishedSetting(
        name="vit-b16-imagenet-lion",
        model="ViT-B/16",
        data="ImageNet-1k",
        optimizer="lion",
        lr=1e-4,
        wd=10.0,
        betas=(0.9, 0.99),
        batch=4096,
        batch_unit="images",
        examples=_IMAGENET,
        steps=300 * 312,
        schedule="cosine",
        source="Chen et al., arXiv:2302.06675; google/automl, lion/README.md",
    ),
    PublishedSetting(
        name="deit-b-imagenet",
        model="DeiT-B",
        data="ImageNet-1k",
        optimizer="adamw",
        lr=1e-3,  # 5e-4 · 1024/512
        wd=0.05,
        betas=(0.9, 0.999),
        batch=1024,  # 16 GPUs of 64
        batch_unit="images",
        examples=_IMAGENET,
        steps=300 * 1251,
        schedule="cosine",
        source="Touvron et al., arXiv:2012.12877; "
        "facebookresearch/deit, main.py and run_with_submitit.py (defaults)",
    ),
    PublishedSetting(
        name="swin-t-imagenet",
        model="Swin-T",
        data="ImageNet-1k",
        optimizer="adamw",
        lr=1e-3,  # 5e-4 · 1024/512
        wd=0.05,
        betas=(0.9, 0.999),
        batch=1024,
        batch_unit="images",
        examples=_IMAGENET,
        steps=300 * 1251,
        schedule="cosine",
        source="Liu et al., arXiv:2103.14030; microsoft/Swin-Transformer, config.py",
    ),
    PublishedSetting(
        name="convnext-t-imagenet",
        model="ConvNeXt-T",
        data="ImageNet-1k",
        optimizer="adamw",
        lr=4e-3,
        wd=0.05,
        betas=(0.9, 0.999),
        batch=4096,
        batch_unit="images",
        examples=_IMAGENET,
        steps=300 * 312,
        schedule="cosine",
        source="facebookresearch/ConvNeXt, TRAINING.md and main.py (defaults)",
    ),
    PublishedSetting(
        name="mae-vit-l16-imagenet",
        model="ViT-L/16, masked autoencoder",
        data="ImageNet-1k",
        optimizer="adamw",
        lr=2.4e-3,  # 1.5e-4 · 4096/256
        wd=0.05,
        betas=(0.9, 0.95),
        batch=4096,
        batch_unit="images",
        examples=_IMAGENET,
        steps=800 * 312,
        schedule="cosine",
        source="facebookresearch/mae, PRETRAIN.md and main_pretrain.py",
    ),
    PublishedSetting(
        name="bert-base",
        model="BERT-Base",
        data="BooksCorpus and English Wikipedia",
        optimizer="adamw",  # "Adam" with the decay outside the moments, and no bias correction
        lr=1e-4,
        wd=0.01,
        betas=(0.9, 0.999),
        batch=256,
        batch_unit="sequences",
        examples=None,
        steps=1_000_000,
        schedule="linear",
        source="Devlin et al., arXiv:1810.04805; google-research/bert, optimization.py; "
        "model card of google-bert/bert-base-uncased",
    ),
    PublishedSetting(
        name="gpt3-small",
        model="GPT-3 Small, 125M",
        data="Filtered Common Crawl, WebText2, books and Wikipedia",
        optimizer="adamw",  # "Adam"; its weight decay cites Loshchilov & Hutter
        lr=6e-4,
        wd=0.1,
        betas=(0.9, 0.95),
        batch=500_000,
        batch_unit="tokens",
        examples=None,
        steps=600_000,  # 300e9 tokens, were all batches of the final size
        schedule="cosine",
        source="Brown et al., arXiv:2005.14165, table 2.1 and appendix B",
    ),
    PublishedSetting(
        name="gpt3-175b",
        model="GPT-3 175B",
        data="Filtered Common Crawl, WebText2, books and Wikipedia",
        optimizer="adamw",
        lr=6e-5,
        wd=0.1,
        betas=(0.9, 0.95),
        batch=3_200_000,
        batch_unit="tokens",
        examples=None,
        steps=93_750,  # 300e9 tokens, were all batches of the final size
        schedule="cosine",
        source="Brown et al., arXiv:2005.14165, table 2.1 and appendix B",
    ),
    PublishedSetting(
        name="gpt2-124m-nanogpt",
        model="GPT-2, 124M",
        data="OpenWebText",
        optimizer="adamw",
        lr=6e-4,
        wd=0.1,
        betas=(0.9, 0.95),
        batch=12 * 1024 * 5 * 8,
        batch_unit="tokens",
        examples=9_035_582_198,
        steps=600_000,
        schedule="cosine",
        source="karpathy/nanoGPT, config/train_gpt2.py, train.py and data/openwebtext/prepare.py",
    ),
    PublishedSetting(
        name="llama-7b",
        model="LLaMA-7B",
        data="Common Crawl, C4, GitHub, Wikipedia, books, arXiv and Stack Exchange",
        optimizer="adamw",
        lr=3e-4,
        wd=0.1,
        betas=(0.9, 0.95),
        batch=4_000_000,
        batch_unit="tokens",
        examples=None,
        steps=250_000,  # 1e12 tokens
        schedule="cosine",
        source="Touvron et al., arXiv:2302.13971, section 2.3 and table 2",
    ),
    PublishedSetting(
        name="pythia-160m",
        model="Pythia-160M",
        data="The Pile",
        optimizer="adamw",  # "Adam" in the file: apex's FusedAdam, decoupled by default
        lr=6e-4,
        wd=0.1,
        betas=(0.9, 0.95),
        batch=1024 * 2048,
        batch_unit="tokens",
        examples=None,
        steps=143_000,
        schedule="cosine",
        source="EleutherAI/pythia, models/160M/pythia-160m.yml",
    ),
    PublishedSetting(
        name="olmo-1b",
        model="OLMo-1B",
        data="Dolma v1.5",
        optimizer="adamw",
        lr=4e-4,
        wd=0.1,
        betas=(0.9, 0.95),
        batch=2048 * 2048,
        batch_unit="tokens",
        examples=None,
        steps=739_328,
        schedule="cosine",
        source="allenai/OLMo, configs/official/OLMo-1B.yaml",
    ),
    PublishedSetting(
        name="moonlight-16b",
        model="Moonlight-16B-A3B",
        data="5.7e12 tokens of Moonshot AI's own",
        optimizer="muon",
        lr=4.2e-4,
        wd=0.1,
        momentum=0.95,
        nesterov=True,
        batch=4096,  # 2048 for the first 200e9 tokens
        batch_unit="sequences",
        examples=None,
        steps=176_000,  # 12 thousand of 2048 and 164 thousand of 4096, if all are of 8192 tokens
        schedule="cosine",  # to a tenth at 5.2e12 tokens; then once more up, and down to zero
        source="Liu et al., arXiv:2502.16982, sections 2.2 and 3.3",
    ),
)


def published_setting(name: str) -> PublishedSetting:
    """The published setting of this name.

    Args:
        name: `PublishedSetting.name`.

    Raises:
        UnknownNameError: If there is none of this name; the message lists the known ones.

    Examples:
        >>> goyal = published_setting("resnet50-imagenet-8k")
        >>> goyal.lr, goyal.wd, goyal.batch
        (3.2, 0.0001, 8192)
        >>> published_setting("swin-t")
        Traceback (most recent call last):
        etaeff.errors.UnknownNameError: Unknown published setting 'swin-t'. Known: ...
    """
    for setting in PUBLISHED_SETTINGS:
        if setting.name == name:
            return setting
    known = [setting.name for setting in PUBLISHED_SETTINGS]
    raise UnknownNameError("published setting", name, known)
