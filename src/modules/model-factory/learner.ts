import { Injectable } from '@nestjs/common';
import type { LearningResult, LearningSurroundings, LearningTask } from './learning/learning-task.js';
import { runLearning } from './learning/run-learning.js';

/** Learns and judges, in a thread of this process. */
@Injectable()
export class Learner {
  async learn(task: LearningTask, around: LearningSurroundings): Promise<LearningResult> {
    return await runLearning(task, around);
  }
}
