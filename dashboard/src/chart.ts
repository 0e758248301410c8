// A chart, drawn by uPlot.
import uPlot from "uplot";
import type { Drawing } from "./history.js";

const height = 180;

const colourOf = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A colour as a canvas takes it: custom properties can contain light-dark(). */
function resolved(place: HTMLElement, name: string) {
  place.style.color = `var(${name})`;
  const colour = getComputedStyle(place).color;
  place.style.color = "";
  return colour || colourOf(name);
}

/** Values as uPlot draws them: gaps are null, and stacked lines stand on those before. */
function dataOf(d: Drawing): uPlot.AlignedData {
  const sums = d.times.map(() => 0);
  return [
    d.times,
    ...d.lines.map((l) =>
      l.values.map((v, i) => {
        if (Number.isNaN(v)) return null;
        if (!d.stacked) return v;
        sums[i]! += v;
        return sums[i]!;
      }),
    ),
  ] as uPlot.AlignedData;
}

export class Chart {
  private plot: uPlot | undefined;
  private shape = "";
  private drawing: Drawing;
  private readonly resize = new ResizeObserver(() => this.plot?.setSize({ width: this.place.clientWidth, height }));
  private readonly colours = matchMedia("(prefers-color-scheme: dark)");
  private readonly theme = new MutationObserver(() => this.recolour());
  private readonly recolour = () => {
    this.shape = "";
    this.draw(this.drawing);
  };

  constructor(private readonly place: HTMLElement, drawing: Drawing) {
    this.drawing = drawing;
    this.resize.observe(place);
    this.colours.addEventListener("change", this.recolour);
    this.theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.draw(drawing);
  }

  /** Draws other values. The chart is made again only when it has other lines. */
  draw(d: Drawing) {
    this.drawing = d;
    const shape = d.lines.map((l) => l.label).join();
    if (this.plot && shape === this.shape) {
      this.plot.setData(dataOf(d));
      return;
    }
    this.shape = shape;
    this.plot?.destroy();
    const soft = resolved(this.place, "--soft");
    const line = resolved(this.place, "--line");
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 }, font: "12px system-ui, sans-serif" };
    this.plot = new uPlot(
      {
        width: this.place.clientWidth, height,
        series: [
          { value: (_, t) => (t == null ? "" : new Date(t * 1000).toLocaleTimeString("en", { hourCycle: "h23" })) },
          ...d.lines.map((l, i): uPlot.Series => {
            const stroke = resolved(this.place, l.colour);
            return {
              label: l.label, stroke, width: 1.5, points: { show: d.times.length < 3 },
              ...(l.dashed ? { dash: [6, 4] } : {}),
              ...(d.stacked ? { fill: stroke, width: 0, paths: uPlot.paths.stepped!({ align: 1 }) } : {}),
              // A stacked line shows its own value, not the sum.
              value: (_: uPlot, v: number | null, __: number, at: number | null) => {
                const own = at == null ? v : this.drawing.lines[i]?.values[at];
                return own == null || Number.isNaN(own) ? "–" : this.drawing.format(own);
              },
            };
          }),
        ],
        // The upper parts of a stack are drawn first.
        bands: d.stacked ? d.lines.slice(1).map((_, i) => ({ series: [i + 2, i + 1] as [number, number] })) : [],
        scales: { y: { range: (_, __, max) => [0, d.whole ? Math.max(4, Math.ceil(max * 1.1)) : Math.max(0.01, max * 1.1)] } },
        axes: [
          { ...axis, space: 80, values: [[86_400, "{HH}:{mm}", null, null, null, null, null, null, 1], [3600, "{HH}:{mm}", null, null, null, null, null, null, 1], [60, "{HH}:{mm}", null, null, null, null, null, null, 1], [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]] },
          { ...axis, size: 64, values: (_, ticks) => ticks.map((t) => (d.whole && !Number.isInteger(t) ? "" : d.format(t))) },
        ],
        legend: { live: true },
        cursor: { y: false, drag: { x: false, y: false } },
      },
      dataOf(d),
      this.place,
    );
  }

  end() {
    this.resize.disconnect();
    this.theme.disconnect();
    this.colours.removeEventListener("change", this.recolour);
    this.plot?.destroy();
  }
}
