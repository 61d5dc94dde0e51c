import type { ActionsPolicy } from '../../src/modules/actions-layer/actions-layer.policy.js';
import { Clock } from '../../src/substrate/clock/clock.port.js';
import { ALLOW, targetAt } from '../contract/actions-layer.kit.js';
import type { TestDatabaseAddress } from '../support/database.js';

/** What a child process is told by its environment. */
export const ORDER_VARIABLE = 'PROBITY_TEST_ACTIONS_ORDER';

export interface ActionsOrder {
  readonly place: TestDatabaseAddress;
  /** Where the receiver listens. */
  readonly port: number;
  /** The same moment in all processes, from which their time runs. */
  readonly sinceMs: number;
}

const SPEED = 20;

/** Time that runs twenty times as fast in all processes of a test, so that leases of the dead are over soon. */
export class QuickClock extends Clock {
  constructor(private readonly sinceMs: number) {
    super();
  }

  nowMs(): number {
    return this.sinceMs + (Date.now() - this.sinceMs) * SPEED;
  }

  monotonicMs(): number {
    return performance.now() * SPEED;
  }

  async sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return;
    await new Promise<void>((wake) => {
      const awake = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', awake);
        wake();
      };
      const timer = setTimeout(awake, durationMs / SPEED);
      signal?.addEventListener('abort', awake);
    });
  }
}

export function policyFor(port: number): ActionsPolicy {
  return {
    ...ALLOW,
    targets: {
      shop: targetAt(port, {
        timeout_ms: 4_000,
        concurrency_max: 8,
        retry: { attempts_max: 50, first_wait_ms: 200, wait_max_ms: 2_000, give_up_after_s: 864_000 },
        breaker: { window: 100, failures_pct: 100, open_ms: 1_000 },
      }),
    },
  };
}
