import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { amountsOf, hasItsNumbers, keptFields } from '../../rails/features/kept.js';
import type { FeatureEvent } from '../../rails/features/event-table.js';
import { FeatureState } from '../../rails/features/feature-state.js';
import { type FeatureSetPlan, planOf } from '../../rails/features/plan.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Projector } from '../../substrate/projection/projector.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { FEATURES_POLICY } from './feature-plane.port.js';
import { FeatureSignals } from './feature-plane.signals.js';
import { FeaturePlaneStore } from './feature-plane.store.js';

export { featureEventOf } from '../../substrate/projection/fold.js';
export { CONTROL, TRAFFIC } from '../../substrate/projection/projection.js';

/** The feature state of every run, projected from traffic and labels by the definitions in force. */
@Injectable()
export class FeatureEngine extends Projector<FeatureState> implements OnModuleInit, OnModuleDestroy {
  readonly plan: FeatureSetPlan;
  readonly definitions;
  readonly signals: FeatureSignals;

  constructor(store: FeaturePlaneStore, clock: Clock, telemetry: Telemetry, policies: Policies) {
    const policy = policies.inForce(FEATURES_POLICY);
    const plan = planOf(policy.body);
    const amounts = amountsOf(plan);
    super(
      {
        name: 'ofp',
        policyRev: policy.policy_rev,
        open: () => new FeatureState(plan),
        types: plan.streams.map(({ eventType }) => eventType),
        fields: keptFields(plan),
        readsLabels: plan.readsLabels,
        horizonMicros: plan.horizonMicros,
        unusable: (event: FeatureEvent) =>
          hasItsNumbers(amounts, event) ? null : 'a number that is summed is not there',
      },
      store,
      clock,
      telemetry.logger,
      () => this.signals,
    );
    this.definitions = policy;
    this.plan = plan;
    this.signals = new FeatureSignals(telemetry, clock, this);
  }
}
