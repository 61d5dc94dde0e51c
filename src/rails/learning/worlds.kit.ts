import type { TrainingMatrix } from './matrix.js';
import { SeededRandom } from './random.js';

/**
 * Rows for specs, from a seed. Fraud is likelier where `signal` is high and `trend` is low; `noise` says nothing. A share of `signal`
 * is missing, and those are fraud more often. One row per minute.
 */
export function plantedRows(rows: number, seed: number): Required<Omit<TrainingMatrix, 'weights'>> {
  const random = new SeededRandom(seed);
  const [signal, trend, noise] = [new Float64Array(rows), new Float64Array(rows), new Float64Array(rows)];
  const labels = new Uint8Array(rows);
  for (let row = 0; row < rows; row += 1) {
    signal[row] = random.unit() < 0.1 ? Number.NaN : Math.floor(random.unit() * 1_000);
    trend[row] = random.unit();
    noise[row] = random.below(50);
    const x = signal[row] ?? 0;
    const probability = (Number.isNaN(x) ? 0.12 : x > 900 ? 0.5 : 0.02) * (1.5 - (trend[row] ?? 0));
    labels[row] = random.unit() < probability ? 1 : 0;
  }
  return {
    names: ['signal', 'trend', 'noise'],
    columns: [signal, trend, noise],
    labels,
    groups: Int32Array.from({ length: rows }, () => random.below(200)),
    seconds: Float64Array.from({ length: rows }, (_, row) => 1_500_000_000 + 60 * row),
  };
}

/** The same labels, each at the place of another row: nothing is left to learn. */
export function shuffled(labels: Uint8Array, seed: number): Uint8Array {
  return Uint8Array.from(new SeededRandom(seed).order(labels.length), (place) => labels[place] ?? 0);
}
