import { Type } from '@sinclair/typebox';
import { closed, type Sealed } from '../../../rails/schema.js';
import type { PolicyKind } from '../../../substrate/policy/policy.port.js';
import { JobKindNameSchema, PurposeSchema, ScopeSchema } from './job.schema.js';

export const JobsPolicySchema = closed(
  {
    schedules: Type.Array(
      closed({
        /** Part of the op_id of each slot. */
        name: Type.String({ pattern: '^[a-z][a-z0-9-]{0,39}$' }),
        kind: JobKindNameSchema,
        every_s: Type.Integer({ minimum: 1, maximum: 31_536_000 }),
        scope: ScopeSchema,
        purpose: PurposeSchema,
      }),
      { maxItems: 64 },
    ),
    /** Kinds that somebody else must approve before they run. */
    approved: Type.Array(JobKindNameSchema, { uniqueItems: true }),
  },
  { description: 'Jobs that start by the clock, and jobs that need two people.' },
);
export type JobsPolicy = Sealed<typeof JobsPolicySchema>;

export const JOBS_POLICY: PolicyKind<typeof JobsPolicySchema> = {
  policy_id: 'ops.jobs',
  schema: JobsPolicySchema,
  check: ({ schedules }: JobsPolicy) => {
    const names = schedules.map(({ name }) => name);
    const twice = names.findIndex((name, at) => names.indexOf(name) !== at);
    return twice < 0
      ? []
      : [
          {
            pointer: `/schedules/${twice}/name`,
            sentence: 'the name stands here twice: slots would be taken for each other',
          },
        ];
  },
};
