import { Injectable } from '@nestjs/common';
import { Clock } from '../../substrate/clock/clock.port.js';
import type { LearningResult, LearningSurroundings, LearningTask, RunLearning } from './learning/learning-task.js';
import { learningThreads } from './learning/run-learning.js';

/** Learns and judges, in threads of this process. */
@Injectable()
export class Learner {
  readonly #run: RunLearning;

  constructor(clock: Clock) {
    this.#run = learningThreads(clock);
  }

  /** @throws as `RunLearning` says */
  async learn(task: LearningTask, around: LearningSurroundings): Promise<LearningResult> {
    return await this.#run(task, around);
  }
}
