import { randomBytes } from 'node:crypto';
import { figures } from '../terminal.js';
import { DecisionApi } from './decision-api.js';
import type { Travel } from './journey.js';

const PAYMENTS = 200;

/** How long somebody waits who asks for a verdict. */
export interface Waits {
  readonly payments: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
}

/** Payments into the open-ended run, one after the other, each answered with its decision: what a first integration would see. */
export async function askedAtOnce(travel: Travel): Promise<Waits> {
  const api = new DecisionApi(travel.api);
  const name = randomBytes(4).toString('hex');
  const times: number[] = [];
  for (let n = 0; n < PAYMENTS; n += 1) {
    const startMs = travel.clock.monotonicMs();
    await api.decide({
      transaction: {
        transaction_id: `first-start-${name}-${n}`,
        occurred_at: new Date(travel.clock.nowMs()).toISOString(),
        amount: `${1 + (n % 90)}.50`,
        currency: 'EUR',
        card_id: `first-start-${n % 50}`,
        merchant_id: `shop-${n % 7}`,
        country: 'FR',
        channel: 'ecommerce',
      },
    });
    times.push(travel.clock.monotonicMs() - startMs);
    if (n % 50 === 0) travel.progress.at('Asking for verdicts', n, PAYMENTS);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number => Number((times[Math.ceil(share * times.length) - 1] ?? 0).toFixed(1));
  return { payments: PAYMENTS, p50_ms: at(0.5), p99_ms: at(0.99) };
}

export function waitsLines({ payments, p50_ms, p99_ms }: Waits): readonly string[] {
  return [
    `Asked one by one, ${payments} payments were answered with their decision after`,
    ...figures([
      ['p50', `${p50_ms.toFixed(1)} ms`],
      ['p99', `${p99_ms.toFixed(1)} ms`],
    ]),
  ];
}
