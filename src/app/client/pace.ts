import type { Pace } from '../../modules/world-stream-producer/world-stream-producer.port.js';

/** `fast`, `realtime`, or a factor of domain time: `60x` plays an hour in a minute. Undefined for anything else. */
export function paceOf(text: string): Pace | undefined {
  if (text === 'fast') return { mode: 'as_fast_as_accepted' };
  if (text === 'realtime') return { mode: 'speed_up', factor: 1 };
  const factor = /^([0-9]{1,7}(?:\.[0-9]{1,3})?)x$/.exec(text)?.[1];
  if (factor === undefined || !(Number(factor) > 0) || Number(factor) > 1_000_000) return undefined;
  return { mode: 'speed_up', factor: Number(factor) };
}
