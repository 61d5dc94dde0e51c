import { canonicalJson, type JsonValue } from '../../rails/canonical-json.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { type PolicyRev, type SealedPolicy, verifyPolicy } from '../../rails/policy-rev.js';
import { objectKey, type ObjectKey } from '../../rails/ref.js';
import type { Objects } from '../objects/objects.port.js';

const MEDIA_TYPE = 'application/json';

/** Every revision that was ever proposed or found in force, by its digest: what a decision cites can be read again. */
export class PolicyArchive {
  constructor(private readonly objects: Objects) {}

  /**
   * The artifact of a revision, verified: its bytes, and that they are of this id, revision and digest.
   * @throws OPS_ARTIFACT_UNKNOWN, OPS_ARTIFACT_TAMPERED with the name of the object
   */
  async artifact(rev: PolicyRev): Promise<SealedPolicy> {
    const key = artifactKey(rev);
    const ref = await this.objects.head(key);
    if (ref === null)
      throw new ProbityError('OPS_ARTIFACT_UNKNOWN', `${told(rev)} was never kept: there is no object ${key}`);
    const bytes = await this.objects.read(ref).catch((cause: unknown) => {
      if (!isProbityError(cause) || cause.code !== 'OBJECTS_DIGEST_MISMATCH') throw cause;
      throw tampered(rev, key, cause);
    });
    const policy = artifactIn(bytes);
    if (
      policy === undefined ||
      policy.policy_rev.policy_id !== rev.policy_id ||
      policy.policy_rev.revision !== rev.revision ||
      policy.policy_rev.content_digest !== rev.content_digest ||
      !verifyPolicy(policy).ok
    )
      throw tampered(rev, key);
    return policy;
  }

  /** Kept for ever; the same artifact again changes nothing. @throws OPS_ARTIFACT_TAMPERED where other bytes stand under its name */
  async keep(policy: SealedPolicy): Promise<void> {
    const { policy_rev: rev, body } = policy;
    const key = artifactKey(rev);
    const { outcome } = await this.objects.putIfAbsent(key, Buffer.from(canonicalJson({ ...rev, body })), {
      mediaType: MEDIA_TYPE,
    });
    if (outcome === 'CONFLICT') throw tampered(rev, key);
  }
}

function artifactKey({ content_digest }: PolicyRev): ObjectKey {
  return objectKey(`gov/policies/${content_digest}.json`);
}

function told({ policy_id, revision }: PolicyRev): string {
  return `revision ${revision} of ${policy_id}`;
}

function tampered(rev: PolicyRev, key: ObjectKey, cause?: unknown): ProbityError {
  return new ProbityError('OPS_ARTIFACT_TAMPERED', `${key} is not ${told(rev)} any more`, { cause });
}

/** undefined: no artifact at all. */
function artifactIn(bytes: Buffer): SealedPolicy | undefined {
  try {
    const { body, ...rev } = JSON.parse(bytes.toString('utf8')) as PolicyRev & { readonly body: JsonValue };
    return { policy_rev: rev, body };
  } catch {
    return undefined;
  }
}
