# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A tour of monoseme
#
# Many neurons of a vision model fire for several unrelated things. This notebook finds such neurons, splits them into
# concept vectors, shows what each vector stands for, and puts the vectors to use.
#
# It needs no download: the model and some twenty photographs come with `pip install 'monoseme[demo]'`. The photographs are
# cut into patches, so there are enough images to look at. For your own images set `MONOSEME_IMAGES` to a folder, a glob or a
# tar file before you start.

# %%
import os
from pathlib import Path

import monoseme as ms
from monoseme.splitting import NodeTests
from monoseme.visualize import strip

images = os.environ.get("MONOSEME_IMAGES", "patches:samples:?per_image=96&min=0.12&max=0.6")
out = Path(os.environ.get("MONOSEME_OUT", "tour"))

# %% [markdown]
# ## Load a model and embed the images
#
# Any PyTorch model will do. This one is small.

# %%
model = ms.load_model("bundled:efficientnet-lite0", image_size=128)
model

# %% [markdown]
# A run is a folder with the layer's output for every image. It stands alone: you can move it, or go on where you stopped.

# %%
run = ms.embed(model, images, out=out / "run")
run

# %% [markdown]
# ## Split every neuron
#
# For each neuron take the images that it fires for most, and ask whether they are of one kind or of several. Each division
# is tested against chance, so there is no threshold to tune. (To be quick, this holds no images out and does not look for
# each concept again in resampled images; leave both options away and it does.) Patches of so few photographs make nearly every
# neuron look split: this shows what the tool does, not what the model has learnt.

# %%
bank = ms.disentangle(run.activations(), top=min(60, len(run) // 4), holdout=0.0, bootstrap=0)
bank.save(out / "bank", overwrite=True)
bank

# %% [markdown]
# ## Look at one neuron
#
# This is the neuron whose concepts are told apart most clearly. Each row is a concept; the last row was dropped.

# %%
neuron = bank.most_split(1)[0]
ms.concept_grid(bank, run, neuron)

# %% [markdown]
# Its images as a tree. A full dot says: there is more than one concept below, and here is the p-value.

# %%
view = ms.view_neuron(bank, neuron, run)
ms.dendrogram(view, NodeTests.of(bank, run.activations()))

# %% [markdown]
# The same images in a plane, alike ones near each other.

# %%
ms.exemplar_map(view, dropped=True)

# %% [markdown]
# Do concept vectors fit their images better than the neuron does? Compare the coloured boxes with the grey ones.

# %%
ms.alignment_boxes(view)

# %% [markdown]
# ## Look at one concept, and at all of them

# %%
concept = bank.for_direction(neuron)[0]
concept

# %% [markdown]
# All concepts of the layer: every point is a concept vector, and the pictures show what lies where.

# %%
ms.concept_map(bank, run)

# %% [markdown]
# The whole layer as one file to hand on. It needs no network; open it in a browser.

# %%
ms.report(run, out / "report.html", bank=bank, neurons=5)

# %% [markdown]
# ## Use the vectors
#
# **Find a concept in new images.** Here: the whole photographs, the strongest first.

# %%
photographs = ms.embed(model, "samples:", out=out / "photographs")
scores = bank.project(photographs.activations()[:])[:, concept.number]
strip(photographs, (-scores).argsort()[:6], columns=6, size=130)

# %% [markdown]
# **Find its relatives.** The nearest concept of another neuron, by cosine.

# %%
nearest = ms.view_concept(bank, concept.number, run).nearest
bank[nearest[0][0]]

# %% [markdown]
# **See where it is.** The photograph stays as it is where the concept is strong, and fades elsewhere.

# %%
ms.heatmap_grid(bank, run, neuron, model=model, columns=5)

# %% [markdown]
# **See what drives it.** Images made from noise: first for the neuron.

# %%
settings = ms.FeatureConfig(size=96, steps=48)
of_neuron = ms.feature_images(model, bank.layer, [neuron], config=settings)
ms.feature_grid(of_neuron)

# %% [markdown]
# And for each of its concepts.

# %%
of_concepts = ms.feature_images(
    model, bank.layer, [each.vector for each in bank.for_direction(neuron)], config=settings
)
ms.feature_grid(of_concepts, [f"concept {each.number}" for each in bank.for_direction(neuron)])

# %% [markdown]
# **Take its images elsewhere.** A folder for each concept, and as many random images, as TCAV reads them.

# %%
folder = ms.export_images(bank, run, out / "images", directions=[neuron], overwrite=True)
sorted(path.name for path in folder.iterdir())
