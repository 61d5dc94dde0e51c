import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { DecisionAnswer } from '../../src/modules/decision-fabric/decision-fabric.service.js';
import type { Decision } from '../../src/rails/events/decision.schema.js';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import type { Door } from './door.js';
import { eventually } from './eventually.js';
import type { ScratchProfile } from './profiles.js';

/** Waits that a busy machine keeps, so that every payment is decided with all there is. @returns the file that was changed */
export function withLongWaits(profile: ScratchProfile): string {
  const decision = join(profile.folder, 'policy', 'df.decision.yaml');
  const waits = 'features_ms: 500, graph_ms: 500, posture_ms: 200, registry_ms: 1000';
  profile.edit(decision, waits, 'features_ms: 5000, graph_ms: 5000, posture_ms: 4000, registry_ms: 10000');
  profile.edit(decision, 'posture_age_max_ms: 15000', 'posture_age_max_ms: 60000');
  return decision;
}

/** Payments of an open-ended run, asked for one by one. */
export class LivePayments {
  #count = 0;

  private constructor(
    readonly runId: string,
    private readonly door: Door,
  ) {}

  /** Once the platform decides under NORMAL. @param name of a scenario of its own: topics outlive a test on a shared broker */
  static async open(door: Door, name: string): Promise<LivePayments> {
    const { run_id } = await door.request({
      run_equivalence_key: 'live',
      world: {
        kind: 'live',
        scenario_id: `${name}-${randomBytes(4).toString('hex')}`,
        traffic: [{ event_type: 'transaction', schema_version: 'v1' }],
      },
      strategy: 'AUTO',
    } as never);
    await door.settled(run_id);
    const dl = await door.client('dl');
    await eventually(
      async () => ((await dl.get('/v1/posture')).body as { posture: Posture | null }).posture?.mode,
      (mode) => mode === 'NORMAL',
      60_000,
    );
    return new LivePayments(run_id, door);
  }

  /** How many were asked for. */
  get count(): number {
    return this.#count;
  }

  async decided(): Promise<Decision> {
    this.#count += 1;
    const number = this.#count;
    const { body, status, text } = await (
      await this.door.client('df')
    ).post('/v1/decisions', {
      transaction: {
        transaction_id: `payment-${number}`,
        occurred_at: '2026-01-31T12:00:00Z',
        amount: '12.30',
        currency: 'EUR',
        card_id: `card-${number % 7}`,
      },
      deadline_ms: 10_000,
    });
    const { decision } = body as DecisionAnswer;
    if (decision === undefined) throw new Error(`${status}: ${text}`);
    return decision;
  }
}
