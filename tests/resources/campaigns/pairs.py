"""Two hundred pairs of answers: a hundred that are the same and a hundred that are not, told by hand."""

from __future__ import annotations

EQUAL = r"""
1/2 | \frac{1}{2}
0.5 | \frac{1}{2}
.5 | 0.5
\dfrac{1}{2} | \frac12
\tfrac{3}{4} | 0.75
\frac{2}{4} | \frac{1}{2}
-\frac{1}{2} | -0.5
\frac{-1}{2} | -\frac{1}{2}
\frac{1}{-2} | -\frac{1}{2}
1\frac{1}{2} | \frac{3}{2}
3 | 3.0
3 | 3.
007 | 7
1,000 | 1000
1{,}000 | 1000
12,345,678 | 12345678
+5 | 5
$5$ | 5
\$5 | 5
5\% | 5
50\% | 50
90^\circ | 90
90^{\circ} | 90
x=5 | 5
x = 5 | 5
y=\frac{1}{3} | \frac{1}{3}
2\sqrt{3} | \sqrt{12}
\sqrt{2}/2 | \frac{1}{\sqrt{2}}
\frac{\sqrt{2}}{2} | \frac{1}{\sqrt{2}}
3\sqrt{2} | \sqrt{18}
\sqrt{2}\cdot 3 | 3\sqrt{2}
\sqrt2 | \sqrt{2}
\sqrt[3]{8} | 2
2^{10} | 1024
2^5 | 32
10^{-2} | 0.01
\frac{\pi}{2} | 0.5\pi
\pi/3 | \frac{\pi}{3}
2\pi | \pi \cdot 2
\frac{2\pi}{4} | \frac{\pi}{2}
(1,2) | (1, 2)
\left(1,2\right) | (1,2)
(1, -2, 3) | \left( 1, -2, 3 \right)
(\frac12, 3) | (0.5, 3)
[0,1] | [0, 1]
(0,\infty) | \left(0, \infty\right)
(-\infty, 2] | (-\infty,2]
[1,2)\cup(3,4] | [1,2) \cup (3,4]
\{1,2,3\} | \{3,2,1\}
\{1, 2\} | \left\{2, 1\right\}
1,2,3 | 3, 2, 1
1, -1 | -1, 1
x^2+2x+1 | (x+1)^2
(x-1)(x+1) | x^2-1
x(x+2) | x^2+2x
2x+3y | 3y+2x
a+b | b+a
\frac{x}{2} | 0.5x
\frac{x+1}{2} | \frac{1}{2}(x+1)
x^{2} | x^2
3x^2 - 2x | x(3x-2)
\frac{1}{x} | x^{-1}
2(x+y) | 2x+2y
6 | 2\cdot 3
6 | 2 \times 3
\frac{6}{2} | 3
\frac{10}{4} | 2.5
1.50 | 1.5
0.250 | \frac14
100 | 1 \times 10^2
3.5 \times 10^{2} | 350
\log_2 8 | 3
\binom{5}{2} | 10
5! | 120
|-3| | 3
i^2 | -1
1+2i | 2i+1
3-4i | 3 - 4i
-7 | - 7
\frac{7}{3} | 7/3
\frac{22}{7} | \frac{44}{14}
\text{A} | A
\text{(B)} | B
\text{yes} | yes
\text{even} | \text{ even}
\mathrm{D} | D
\left[ 2, 5 \right) | [2,5)
\frac{3}{5}\sqrt{5} | \frac{3\sqrt{5}}{5}
\frac{3}{\sqrt{5}} | \frac{3\sqrt{5}}{5}
\sqrt{3}+\sqrt{2} | \sqrt{2}+\sqrt{3}
e^{2} | e^2
\sin(\pi/6) | \frac{1}{2}
\begin{pmatrix}1\\2\end{pmatrix} | \begin{pmatrix} 1 \\ 2 \end{pmatrix}
\begin{pmatrix}1&2\\3&4\end{pmatrix} | \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}
1 \text{ cm} | 1 \text{ cm}
0 | -0
\frac{0}{5} | 0
2+2 | 4
\frac{1}{3}+\frac{1}{6} | \frac{1}{2}
8^{1/3} | 2
"""
DIFFERENT = r"""
1/12 | 11/2
\frac{1}{12} | \frac{11}{2}
\frac{1}{12} | \frac{112}{1}
\sqrt{2}3 | \sqrt{23}
3\sqrt{2} | \sqrt{32}
2\sqrt{3} | 3\sqrt{2}
\frac{1}{2} | \frac{2}{1}
1/2 | 12
0.5 | 0.05
0.5 | 5
0.33 | \frac{1}{3}
0.333 | \frac13
3.14 | \pi
3.1416 | \pi
1.41 | \sqrt{2}
1000 | 100
1,000 | 1,00
1,2 | 12
1,2 | 1.2
1,2 | 2,3
-1 | 1
-\frac{1}{2} | \frac{1}{2}
2 | -2
x | -x
5 | 6
5 | 5x
5 | 5\pi
5 | 5i
5 | 55
0 | 1
0 | \emptyset
(1,2) | (2,1)
(1,2) | (1,2,3)
(1,2) | (1,3)
(1,2) | \{1\}
[0,1] | (0,1)
[0,1) | (0,1]
[0,1] | [0,2]
(0,\infty) | (-\infty,0)
(0,\infty) | [0,\infty)
(-\infty,2] | (-\infty,2)
[1,2)\cup(3,4] | [1,2)
\{1,2,3\} | \{1,2\}
\{1,2\} | \{1,2,3\}
\{1\} | \{1,2\}
1,2,3 | 1,2
1,2 | 1,2,3
1 | 1,2
1,2 | 1
\{1,2\} | \{1,3\}
x^2+1 | x^2-1
x^2+2x+1 | (x-1)^2
(x-1)(x+2) | x^2-1
x^2 | x^3
2x | x^2
2x | x+2
x^{12} | x^{1}2
a+b | a-b
a-b | b-a
ab | a+b
\frac{x}{2} | \frac{2}{x}
\frac{x+1}{2} | x+\frac{1}{2}
2^{10} | 210
2^{10} | 20
2^3 | 3^2
2^{-1} | -2
10^{-2} | 100
\sqrt{4} | 4
\sqrt[3]{8} | \sqrt{8}
\sqrt{2}+\sqrt{3} | \sqrt{5}
\pi | 2\pi
\pi/2 | 2/\pi
\frac{\pi}{3} | \frac{\pi}{6}
\text{A} | \text{B}
A | B
\text{(C)} | D
\text{yes} | \text{no}
\text{even} | \text{odd}
\text{Monday} | \text{Sunday}
1+2i | 1-2i
3-4i | 4-3i
i | -i
e^2 | 2e
e | \pi
\log_2 8 | 8
\log_3 8 | \log_2 8
\binom{5}{2} | \frac{5}{2}
\binom{6}{2} | 10
5! | 5
5! | 60
|-3| | -3
\sin(\pi/6) | \cos(\pi/6)
1\frac{1}{2} | \frac{1}{2}
1\frac{1}{2} | \frac{11}{2}
\begin{pmatrix}1\\2\end{pmatrix} | \begin{pmatrix}2\\1\end{pmatrix}
\begin{pmatrix}1&2\\3&4\end{pmatrix} | \begin{pmatrix}1&2\\4&3\end{pmatrix}
\begin{pmatrix}1\\2\end{pmatrix} | \begin{pmatrix}1&2\end{pmatrix}
x=5 | x=6
x=5 | y>5
x > 5 | x < 5
"""


def _pairs(table: str) -> list[tuple[str, str]]:
    return [(answer, gold) for answer, _, gold in (line.partition(" | ") for line in table.strip().split("\n"))]


PAIRS = [(*pair, True) for pair in _pairs(EQUAL)] + [(*pair, False) for pair in _pairs(DIFFERENT)]
"""Answer, gold answer, whether they are the same."""
