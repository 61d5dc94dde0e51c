import { Type } from '@sinclair/typebox';
import type { TopicName } from '../../../rails/eb-ref.js';
import { brandedText, closed, type Sealed } from '../../../rails/schema.js';
import type { PolicyFault, PolicyKind } from '../../../substrate/policy/policy.port.js';
import { ARCHIVE_POLICY, type ArchivePolicy } from '../archive/archive.policy.js';

/** A chunk of the archive waits for its age, and is then written, indexed and looked at: twice its age is the least that leaves room for that. */
const CHUNK_AGES_MIN = 2;
const KEEP_MS_MIN = 1_000;

export const RetentionPolicySchema = closed(
  {
    topics: Type.Array(
      closed({
        topic: brandedText<TopicName>({ pattern: '^[a-z0-9][a-z0-9._-]{0,149}$', description: 'a topic' }),
        /** Since its append, by the clock of the bus; null: for ever. */
        keep_ms: Type.Union([Type.Integer({ minimum: KEEP_MS_MIN, maximum: 315_576_000_000 }), Type.Null()]),
        /** Whether records may go that no archive has: of a topic of pointers to what stands elsewhere. */
        unarchived: Type.Union([Type.Literal('kept'), Type.Literal('allowed')]),
      }),
      { minItems: 1, maxItems: 16 },
    ),
    /** Roles that this installation does not run. They are not asked what they need; of all others that is to be known before anything goes. */
    roles_not_run: Type.Array(Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$' }), { maxItems: 32, uniqueItems: true }),
  },
  { description: 'How long the bus keeps what it has.' },
);
export type RetentionPolicy = Sealed<typeof RetentionPolicySchema>;

export const RETENTION_POLICY: PolicyKind<typeof RetentionPolicySchema> = {
  policy_id: 'ops.retention',
  schema: RetentionPolicySchema,
  check: ({ topics }: RetentionPolicy): readonly PolicyFault[] => {
    const names = topics.map(({ topic }) => topic);
    const twice = names.findIndex((name, at) => names.indexOf(name) !== at);
    return twice < 0 ? [] : [{ pointer: `/topics/${twice}/topic`, sentence: 'the topic stands here twice' }];
  },
  checkAmong: ({ topics }: RetentionPolicy, bodyOf): readonly PolicyFault[] => {
    const archive = bodyOf(ARCHIVE_POLICY.policy_id) as ArchivePolicy | undefined;
    if (archive === undefined) return [];
    const least = Math.max(KEEP_MS_MIN, CHUNK_AGES_MIN * archive.chunk_age_ms);
    return topics.flatMap(({ topic, keep_ms, unarchived }, at): readonly PolicyFault[] => {
      const isArchived = archive.topics.includes(topic);
      if (keep_ms === null || (!isArchived && unarchived === 'allowed')) return [];
      if (!isArchived)
        return [
          {
            pointer: `/topics/${at}/unarchived`,
            sentence: `${topic} is in no archive (ops.archive), so nothing of it would ever go: archive it, allow it, or keep it for ever`,
          },
        ];
      if (keep_ms >= least) return [];
      return [
        {
          pointer: `/topics/${at}/keep_ms`,
          sentence: `is shorter than ${CHUNK_AGES_MIN} times the age of a chunk of the archive: at least ${least}`,
        },
      ];
    });
  },
};
