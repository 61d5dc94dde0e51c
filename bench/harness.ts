import { cpus, loadavg, totalmem } from 'node:os';

/**
 * What a measurement says. Absolute times belong to one machine on one day; the ratio of two things measured in turns is
 * what can be compared with another day's.
 */
export interface Timing {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly meanMs: number;
  readonly count: number;
}

export interface PairResult {
  readonly name: string;
  readonly ours: Timing;
  readonly bare: Timing;
  /** Median of ours over median of the bare driver's. */
  readonly ratioP50: number;
  readonly ratioP99: number;
  /** The goal that an issue or a decision sets for `ratioP50`, where there is one. */
  readonly ratioGoal?: number;
}

export interface SingleResult {
  readonly name: string;
  readonly timing: Timing;
}

export type BenchResult = PairResult | SingleResult;

export interface Conditions {
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  /** Load of the last minute at the begin and the end: figures taken beside other work say less. */
  readonly loadBefore: number;
  readonly loadAfter: number;
  readonly takenAt: string;
  /** Versions of servers and whatever else a reader needs to repeat it. */
  readonly notes: readonly string[];
}

export interface BenchReport {
  readonly bench: string;
  readonly conditions: Conditions;
  readonly results: readonly BenchResult[];
}

/** One bench: `bench/<name>.ts` exports it as `bench`. */
export type Bench = (notes: (note: string) => void) => Promise<readonly BenchResult[]>;

export interface PairPlan {
  readonly name: string;
  readonly ours: () => Promise<unknown>;
  readonly bare: () => Promise<unknown>;
  /** Timed runs of each side. */
  readonly runs: number;
  /** Untimed ones before, for caches, plans and the compiler. */
  readonly warmups: number;
  readonly ratioGoal?: number;
}

/**
 * Runs two sides in turns (ours, bare, ours, bare …), so that whatever else the machine does falls on both alike. The one
 * that begins changes with each turn: the second may find what the first has warmed.
 */
export async function measurePair(plan: PairPlan): Promise<PairResult> {
  const [ours, bare]: [number[], number[]] = [[], []];
  const sides = [
    { run: plan.ours, times: ours },
    { run: plan.bare, times: bare },
  ];
  for (let turn = -plan.warmups; turn < plan.runs; turn += 1)
    for (const { run, times } of turn % 2 === 0 ? sides : [...sides].reverse()) {
      const tookMs = await timed(run);
      if (turn >= 0) times.push(tookMs);
    }
  const [one, two] = [timingOf(ours), timingOf(bare)];
  return {
    name: plan.name,
    ours: one,
    bare: two,
    ratioP50: one.p50Ms / two.p50Ms,
    ratioP99: one.p99Ms / two.p99Ms,
    ...(plan.ratioGoal === undefined ? {} : { ratioGoal: plan.ratioGoal }),
  };
}

export async function measure(plan: {
  readonly name: string;
  readonly run: () => Promise<unknown>;
  readonly runs: number;
  readonly warmups: number;
}): Promise<SingleResult> {
  const times: number[] = [];
  for (let turn = -plan.warmups; turn < plan.runs; turn += 1) {
    const tookMs = await timed(plan.run);
    if (turn >= 0) times.push(tookMs);
  }
  return { name: plan.name, timing: timingOf(times) };
}

export async function runBench(name: string, bench: Bench): Promise<BenchReport> {
  const notes: string[] = [];
  const loadBefore = loadavg()[0] ?? 0;
  const results = await bench((note) => notes.push(note));
  const [cpu] = cpus();
  return {
    bench: name,
    conditions: {
      node: process.version,
      platform: `${process.platform}-${process.arch}`,
      cpu: cpu?.model ?? 'unknown',
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      loadBefore,
      loadAfter: loadavg()[0] ?? 0,
      takenAt: new Date().toISOString(),
      notes,
    },
    results,
  };
}

/** The report as a table for people. */
export function renderReport({ bench, conditions, results }: BenchReport): string {
  const { node, platform, cpu, cores, memoryGiB, loadBefore, loadAfter, takenAt, notes } = conditions;
  const lines = [
    `${bench}: ${takenAt}, Node ${node} on ${platform}, ${cores} × ${cpu}, ${memoryGiB} GiB, load ${loadBefore.toFixed(1)} → ${loadAfter.toFixed(1)}`,
    ...notes,
    ...(results.length === 0
      ? []
      : [
          '',
          '| what | ours p50 | p99 | bare p50 | p99 | ratio of p50 | goal |',
          '| --- | --- | --- | --- | --- | --- | --- |',
        ]),
    ...results.map((result) => {
      if ('timing' in result)
        return `| ${result.name} | ${ms(result.timing.p50Ms)} | ${ms(result.timing.p99Ms)} | – | – | – | – |`;
      const { name, ours, bare, ratioP50, ratioGoal } = result;
      const goal = ratioGoal === undefined ? '–' : `≤ ${ratioGoal}${ratioP50 <= ratioGoal ? '' : ' missed'}`;
      return `| ${name} | ${ms(ours.p50Ms)} | ${ms(ours.p99Ms)} | ${ms(bare.p50Ms)} | ${ms(bare.p99Ms)} | ${ratioP50.toFixed(2)} | ${goal} |`;
    }),
  ];
  return lines.join('\n');
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await run();
  return performance.now() - startMs;
}

export function timingOf(times: readonly number[]): Timing {
  const sorted = [...times].sort((one, two) => one - two);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return {
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    meanMs: times.reduce((sum, time) => sum + time, 0) / times.length,
    count: times.length,
  };
}
