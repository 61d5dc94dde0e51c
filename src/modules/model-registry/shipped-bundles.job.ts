import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { systemActor } from '../../rails/actor.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Rounds } from '../../substrate/clock/rounds.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { REGISTRY_POLICY } from './model-registry.policy.js';
import { ModelRegistryService } from './model-registry.service.js';
import { ModelRegistryStore } from './model-registry.store.js';

const TRY_AGAIN_MS = 2_000;

/**
 * Makes the bundles that the policy ships active in slots of which there is no fact at all, and never again: what people decided later stands. Each
 * step is an ordinary fact under a key of its own, so that a start that is cut off goes on, and two that begin at once make one.
 */
@Injectable()
export class ShippedBundles implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #rounds: Rounds;
  #done = false;

  constructor(
    private readonly registry: ModelRegistryService,
    private readonly store: ModelRegistryStore,
    private readonly policies: Policies,
    clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#rounds = new Rounds({
      clock,
      everyMs: TRY_AGAIN_MS,
      round: async () => {
        if (!this.#done) await this.introduce();
        this.#done = true;
        return 0;
      },
      onFailure: (error) => telemetry.logger.warn('mpr_shipped_failed', { detail: String(error) }),
    });
  }

  /** Before the first payment, where nothing stands in the way; otherwise as soon as it can be done. */
  async onApplicationBootstrap(): Promise<void> {
    try {
      await this.introduce();
      this.#done = true;
    } catch (error) {
      this.telemetry.logger.warn('mpr_shipped_failed', { detail: String(error) });
    }
    this.#rounds.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#rounds.stop();
  }

  async introduce(): Promise<void> {
    const { policy_rev, body } = this.policies.inForce(REGISTRY_POLICY);
    const { rows } = await this.store.active(body.shipped.map(({ slot }) => slot));
    const actor = systemActor('mpr');
    for (const { slot, bundle, digest } of body.shipped) {
      if (rows.some((row) => row.slot === slot)) continue;
      const { bundle_id, bundle_version } = bundle;
      const named = { bundle_id, bundle_version };
      const reason = `shipped by ${policy_rev.policy_id} revision ${policy_rev.revision}`;
      const standing = await this.store.publication(this.store.database, named);
      if (standing?.bundle.digest !== digest) {
        await this.registry.register(
          () => Promise.resolve(bundle),
          { lineage: { dataset_manifests: [] }, evidence: { shipped_by: policy_rev } },
          { actor, reason, key: `shipped publish ${digest}` },
        );
      }
      const key = `shipped promote ${slot} ${digest}`;
      await this.registry.command({ action: 'promote', bundle: named, slot, expected_seq: 0 }, { actor, reason, key });
    }
  }
}
