export interface Evaluation {
  /** Area under precision over recall, as a step sum. */
  readonly averagePrecision: number;
  readonly rocAuc: number;
  /** Share of the frauds among the highest scores, by share of all payments. */
  readonly recallAt: Readonly<Record<string, number>>;
}

/** How well scores tell fraud from the rest; equal scores count as one step. */
export function evaluate(scores: readonly number[], isFraud: readonly boolean[]): Evaluation {
  const order = scores.map((_, at) => at).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
  const frauds = isFraud.filter(Boolean).length;
  const others = isFraud.length - frauds;
  let [caught, alarms, averagePrecision, rocAuc] = [0, 0, 0, 0];
  for (let from = 0; from < order.length;) {
    const score = scores[order[from] ?? 0];
    let [hits, misses, to] = [0, 0, from];
    for (; to < order.length && scores[order[to] ?? 0] === score; to += 1)
      if (isFraud[order[to] ?? 0] === true) hits += 1;
      else misses += 1;
    rocAuc += misses * (caught + hits / 2);
    caught += hits;
    alarms += misses;
    averagePrecision += (hits / frauds) * (caught / (caught + alarms));
    from = to;
  }
  const recallAt = Object.fromEntries(
    [0.005, 0.01, 0.02, 0.05].map((share) => {
      const top = order.slice(0, Math.round(share * order.length));
      return [String(share), top.filter((at) => isFraud[at] === true).length / frauds];
    }),
  );
  return { averagePrecision, rocAuc: rocAuc / (frauds * others), recallAt };
}
