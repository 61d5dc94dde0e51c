/** Pictures of a report: plain SVG, drawn with the colours of the page. */

export interface ChartPoint {
  readonly x: number;
  readonly y: number;
}

export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly points: readonly ChartPoint[];
  /** A line to hold the curve against, from one point to another. */
  readonly reference?: readonly [ChartPoint, ChartPoint];
  /** 1 where it is not said. */
  readonly xMax?: number;
  readonly yMax?: number;
  /** Points by themselves, and no line between them. */
  readonly dots?: boolean;
}

const [WIDTH, HEIGHT] = [360, 260];
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 10, 10, 44];
const TICKS = [0, 0.25, 0.5, 0.75, 1];

export function escaped(text: string): string {
  return text.replace(
    /[&<>"']/g,
    (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign] ?? '&#39;',
  );
}

/** A chart as a figure with its caption. */
export function chartOf({ title, xLabel, yLabel, points, reference, xMax = 1, yMax = 1, dots }: Chart): string {
  const x = (value: number): string => at(LEFT + (value / (xMax || 1)) * (WIDTH - LEFT - RIGHT));
  const y = (value: number): string => at(HEIGHT - BOTTOM - (value / (yMax || 1)) * (HEIGHT - TOP - BOTTOM));
  const grid = TICKS.flatMap((tick) => [
    `<line class="grid" x1="${x(tick * xMax)}" y1="${y(0)}" x2="${x(tick * xMax)}" y2="${y(yMax)}"/>`,
    `<line class="grid" x1="${x(0)}" y1="${y(tick * yMax)}" x2="${x(xMax)}" y2="${y(tick * yMax)}"/>`,
    `<text x="${x(tick * xMax)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${short(tick * xMax)}</text>`,
    `<text x="${LEFT - 6}" y="${y(tick * yMax)}" dy="0.35em" text-anchor="end">${short(tick * yMax)}</text>`,
  ]);
  const straight =
    reference === undefined
      ? ''
      : `<line class="reference" x1="${x(reference[0].x)}" y1="${y(reference[0].y)}" x2="${x(reference[1].x)}" y2="${y(reference[1].y)}"/>`;
  const curve =
    dots === true
      ? points.map((point) => `<circle class="dot" cx="${x(point.x)}" cy="${y(point.y)}" r="4"/>`).join('')
      : `<polyline class="curve" points="${points.map((point) => `${x(point.x)},${y(point.y)}`).join(' ')}"/>`;
  return [
    `<figure><figcaption>${escaped(title)}</figcaption>`,
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(`${title}: ${yLabel} by ${xLabel}`)}">`,
    ...[...grid, straight, curve],
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escaped(xLabel)}</text>`,
    `<text transform="translate(12 ${(HEIGHT - BOTTOM + TOP) / 2}) rotate(-90)" text-anchor="middle">${escaped(yLabel)}</text>`,
    '</svg></figure>',
  ].join('');
}

/** A bar as wide as a share of its cell. */
export function barOf(share: number): string {
  const width = Math.max(0, Math.min(1, share)) * 100;
  return `<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width="${at(width)}" height="8"/></svg>`;
}

function at(place: number): string {
  return place.toFixed(1);
}

/** A number as short as a tick can be. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${Number((value / 1e9).toPrecision(3))}G`;
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}
