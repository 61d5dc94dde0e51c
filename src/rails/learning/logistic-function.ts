import { exp } from '../model/exp.js';

/** The probability that belongs to log odds. */
export function logisticOf(logOdds: number): number {
  return 1 / (1 + exp(-logOdds));
}
