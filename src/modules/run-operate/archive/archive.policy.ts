import { Type } from '@sinclair/typebox';
import type { TopicName } from '../../../rails/eb-ref.js';
import { brandedText, closed, type Sealed } from '../../../rails/schema.js';
import type { PolicyKind } from '../../../substrate/policy/policy.port.js';

/** In lower case, since the topic is part of the names of objects. */
const ArchivedTopicSchema = brandedText<TopicName>({
  pattern: '^[a-z0-9][a-z0-9._-]{0,149}$',
  description: 'a topic that is archived',
});

export const ArchivePolicySchema = closed(
  {
    topics: Type.Array(ArchivedTopicSchema, { minItems: 1, maxItems: 16, uniqueItems: true }),
    /** A chunk is cut at so many records … */
    chunk_records_max: Type.Integer({ minimum: 1, maximum: 100_000 }),
    /** … or behind the record that brings it to so many bytes … */
    chunk_bytes_max: Type.Integer({ minimum: 1_024, maximum: 32 * 1024 * 1024 }),
    /** … or so long after something was first seen that stands in none. */
    chunk_age_ms: Type.Integer({ minimum: 0, maximum: 86_400_000 }),
  },
  { description: 'What is archived, and how often.' },
);
export type ArchivePolicy = Sealed<typeof ArchivePolicySchema>;

export const ARCHIVE_POLICY: PolicyKind<typeof ArchivePolicySchema> = {
  policy_id: 'ops.archive',
  schema: ArchivePolicySchema,
};
