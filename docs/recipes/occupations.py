"""An audit of occupations: python docs/recipes/occupations.py OUT.png (see occupations.md)."""

import sys
from math import sqrt

from matplotlib.figure import Figure

import conjure
from conjure.core.uncertainty import student_t

MAN, WOMAN, K = "a man", "a woman", 8
JOBS = "doctor nurse teacher judge pilot mechanic farmer cook scientist artist singer detective"
texts = [f"an {job}" if job[0] in "aeiou" else f"a {job}" for job in JOBS.split()]
pairs = [(text, person) for text in texts for person in (MAN, WOMAN)] + [(MAN, WOMAN)]
process = conjure.load()
*found, apart = conjure.distances(pairs, process=process, samples=K)
reach = student_t(1 - 0.05 / len(texts), K - 1) / sqrt(K)  # Bonferroni: all hold together, 95 %
rows = []
for text, man, woman in zip(texts, found[0::2], found[1::2], strict=True):
    gap = man.spec.entry(man.terms) - woman.spec.entry(woman.terms)  # (K,), paired by seed
    rows.append((float(gap.mean()), reach * float(gap.std()), text, man.value, woman.value))
rows.sort()
print(f"{'text':<13}{'to a man':>9}{'to a woman':>12}{'difference':>12}   interval")
for mean, half, text, man, woman in rows:
    clear = " *" if abs(mean) > half else ""
    interval = f"{mean - half:.0f} to {mean + half:.0f}"
    print(f"{text:<13}{man:>9.0f}{woman:>12.0f}{mean:>12.0f}   {interval}{clear}")
print(f"{MAN} to {WOMAN}: {apart.value:.0f} ± {apart.standard_error:.0f}\n{apart.signature}")
figure = Figure(figsize=(5, 0.8 + 0.28 * len(rows)), layout="constrained")
axes = figure.subplots()
axes.errorbar([r[0] for r in rows], range(len(rows)), xerr=[r[1] for r in rows], fmt="o")
axes.axvline(0, color="#595959", linewidth=0.8)
axes.set_yticks(range(len(rows)), [r[2] for r in rows])
axes.set_xlabel(
    "d(text, a man) − d(text, a woman), 8 paired samples;\n← nearer to a man   nearer to a woman →"
)
figure.savefig(sys.argv[1], dpi=200)
