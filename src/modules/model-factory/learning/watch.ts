import { LEARNING_STAGES, type LearningDurations, type LearningProgress, type LearningStage } from './learning-task.js';

/** How long each stage took, and how far it is. */
export class Watch {
  readonly #spent = new Map<LearningStage, number>();

  constructor(
    readonly monotonicMs: () => number,
    private readonly onProgress: (progress: LearningProgress) => void,
  ) {}

  async during<Result>(
    stage: LearningStage,
    work: (tell: (done: number, of: number) => void) => Result | Promise<Result>,
  ): Promise<Result> {
    const from = this.monotonicMs();
    this.onProgress({ stage, done: 0, of: 0 });
    try {
      return await work((done, of) => this.onProgress({ stage, done, of }));
    } finally {
      this.#spent.set(stage, (this.#spent.get(stage) ?? 0) + this.monotonicMs() - from);
    }
  }

  get durations(): LearningDurations {
    const spent = LEARNING_STAGES.map((stage) => [stage, Math.round(this.#spent.get(stage) ?? 0)]);
    return Object.fromEntries(spent) as LearningDurations;
  }
}
