import { Type } from '@sinclair/typebox';
import { CapabilityMaskSchema } from '../../rails/capability-mask.js';
import { closed, type Sealed } from '../../rails/schema.js';

const SignalNameSchema = Type.String({ pattern: '^[a-z][a-z0-9_.]{0,99}$' });

const series = {
  /** As Prometheus writes it: `df_incidents_total`. */
  metric: Type.String({ pattern: '^[a-zA-Z_:][a-zA-Z0-9_:]*$' }),
  labels: Type.Optional(Type.Record(Type.String(), Type.String())),
};

const SignalSchema = closed({
  name: SignalNameSchema,
  ...series,
  /**
   * max, sum: over all series. rate: of a counter, per second since the reading before. share: of the rate of another counter, which it is a
   * part of; 0 while that one stands still.
   */
  statistic: Type.Union([Type.Literal('max'), Type.Literal('sum'), Type.Literal('rate'), Type.Literal('share')]),
  of: Type.Optional(closed(series)),
  /** Without it nothing is known, and nothing may be leant on. A signal of what may run nowhere is not required. */
  required: Type.Boolean(),
});

const ConditionSchema = closed({ signal: SignalNameSchema, above: Type.Number() });
const rung = Type.Array(ConditionSchema, { maxItems: 32, description: 'one that holds is enough' });

export const LadderSchema = closed(
  {
    evaluate_every_ms: Type.Integer({ minimum: 100, maximum: 60_000 }),
    reading_age_max_ms: Type.Integer({ minimum: 100, maximum: 600_000 }),
    /** How long the way up has to be free before it is gone, one rung at a time. */
    quiet_ms: Type.Integer({ minimum: 0, maximum: 86_400_000 }),
    signals: Type.Array(SignalSchema, { minItems: 1, maxItems: 64 }),
    rungs: closed({ DEGRADED_1: rung, DEGRADED_2: rung, FAIL_CLOSED: rung }),
    /** FAIL_CLOSED has the most restrictive mask, which no policy changes. */
    masks: closed({
      NORMAL: CapabilityMaskSchema,
      DEGRADED_1: CapabilityMaskSchema,
      DEGRADED_2: CapabilityMaskSchema,
    }),
  },
  { description: 'When decisions may lean on less, and on what then.' },
);
export type LadderPolicy = Sealed<typeof LadderSchema>;
export type Signal = LadderPolicy['signals'][number];
