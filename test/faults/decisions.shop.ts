import { join } from 'node:path';
import { type Delivery, type Manner, Receiver, SIGNING } from '../contract/actions-layer.kit.js';
import type { Outside } from '../support/door.js';
import { seeded } from '../support/kafka-log.js';
import type { ScratchProfile } from '../support/profiles.js';

/**
 * A shop that is told of every verdict. It has each effect once per name, as receivers must, and is as bad as they are: now and then it is silent
 * after the effect, or says that it is busy.
 */
export class Shop implements Outside {
  readonly name = 'shop';
  readonly env = { PROBITY_TEST_SHOP_SECRET: SIGNING };
  readonly #receiver: Receiver;

  constructor(seed: number) {
    const random = seeded(seed);
    this.#receiver = new Receiver((): Manner => {
      const luck = random();
      return luck < 0.01 ? 'silent after' : luck < 0.05 ? 503 : 200;
    });
  }

  async open(): Promise<this> {
    await this.#receiver.open();
    return this;
  }

  async close(): Promise<void> {
    await this.#receiver.close();
  }

  readonly introduce = (profile: ScratchProfile): readonly string[] => {
    const [actions, decision] = ['al.actions', 'df.decision'].map((name) =>
      join(profile.folder, 'policy', `${name}.yaml`),
    ) as [string, string];
    const target = {
      url: `http://127.0.0.1:${this.#receiver.port}/verdicts`,
      secret: { env: 'PROBITY_TEST_SHOP_SECRET' },
      deduplicates: true,
      allow_private: true,
      allow_plain_http: true,
      timeout_ms: 2_000,
      concurrency_max: 32,
      retry: { attempts_max: 50, first_wait_ms: 50, wait_max_ms: 500, give_up_after_s: 86_400 },
      breaker: { window: 200, failures_pct: 90, open_ms: 500 },
    };
    profile.edit(actions, 'targets: {}', `targets: { shop: ${JSON.stringify(target)} }`);
    const rule = '{ id: decisions.shop, effect: allow, origins: [DF], scope: payment, action_type: webhook.shop }';
    profile.edit(actions, 'rules:', `rules:\n    - ${rule}`);
    const told = '{ action_domain: shop_notice, action_type: webhook.shop }';
    for (const outcome of ['APPROVE', 'STEP_UP', 'DECLINE'])
      profile.edit(decision, `${outcome}: [`, `${outcome}: [${told}, `);
    profile.edit(decision, 'QUEUE:', `QUEUE:\n      - ${told}`);
    profile.edit(decision, 'step_up_only_domains: [', 'step_up_only_domains: [shop_notice, ');
    return [actions, decision];
  };

  counts(runId: string): Promise<readonly number[]> {
    return Promise.resolve([...this.#of(runId).keys()].map((id) => this.#receiver.effects.get(id) ?? 0));
  }

  wanted(outcomes: Readonly<Record<string, number>>): number {
    return Object.values(outcomes).reduce((a, b) => a + b, 0);
  }

  /** Effects by how often they were delivered, the most often first. */
  oftenDelivered(runId: string): readonly { readonly id: string; readonly deliveries: number }[] {
    return [...this.#of(runId)]
      .map(([id, deliveries]) => ({ id, deliveries: deliveries.length }))
      .sort((a, b) => b.deliveries - a.deliveries);
  }

  /** What was delivered of a run, by the name of the effect. @throws when anything was not signed by the platform */
  #of(runId: string): ReadonlyMap<string, readonly Delivery[]> {
    const found = new Map<string, Delivery[]>();
    for (const delivery of this.#receiver.deliveries) {
      if (!delivery.genuine) throw new Error(`a message of ${delivery.id} was not signed`);
      const { data } = JSON.parse(delivery.body) as { readonly data: { readonly run_id: string } };
      if (data.run_id !== runId) continue;
      const before = found.get(delivery.id);
      if (before === undefined) found.set(delivery.id, [delivery]);
      else before.push(delivery);
    }
    return found;
  }
}
