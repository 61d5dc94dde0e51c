import { wholePath } from './decisions.js';
import type { Bench } from './harness.js';

/** The whole path as `decisions` measures it, on Kafka, S3 and Postgres. */
export const bench: Bench = (note) => wholePath('real', note);
