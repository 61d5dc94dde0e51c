import type { PolicyKind } from '../../substrate/policy/policy.port.js';
import { maskFaults } from './ladder.core.js';
import { type LadderPolicy, LadderSchema } from './ladder.schema.js';

export const LADDER_POLICY: PolicyKind<typeof LadderSchema> = {
  policy_id: 'dl.ladder',
  schema: LadderSchema,
  check: (body: LadderPolicy) => {
    const names = new Set(body.signals.map(({ name }) => name));
    const unknown = Object.entries(body.rungs).flatMap(([rung, conditions]) =>
      conditions.flatMap(({ signal }, at) =>
        names.has(signal)
          ? []
          : [{ pointer: `/rungs/${rung}/${at}/signal`, sentence: `there is no signal "${signal}" above` }],
      ),
    );
    const whole = body.signals.flatMap(({ statistic, of }, at) =>
      (statistic === 'share') === (of !== undefined)
        ? []
        : [{ pointer: `/signals/${at}`, sentence: 'a share names what it is a share of, and nothing else does' }],
    );
    return [...unknown, ...whole, ...maskFaults(body)];
  },
};
