import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TSchema, Type } from '@sinclair/typebox';
import { ProbityError } from '../rails/errors/probity-error.js';
import type { JsonValue } from '../rails/canonical-json.js';
import { type PolicyRev, PolicyRevSchema, type SealedPolicy, verifyPolicy } from '../rails/policy-rev.js';
import type { PolicyFault, PolicyKind } from '../substrate/policy/policy.port.js';
import { AccessPolicy, checkAccessPolicy } from '../substrate/identity/access-policy.schema.js';
import { type ConfigFault, YamlFile } from './yaml-file.js';

/** The one policy that the program itself reads. */
export const ACCESS_POLICY: PolicyKind<typeof AccessPolicy> = {
  policy_id: 'access',
  // Keys of the data folder are added to it when a process starts.
  takesEffect: 'at_restart',
  schema: AccessPolicy,
  check: checkAccessPolicy,
};

/** A policy as it is in force: id, revision, digest (law C1), content, and where it was read. */
export interface PolicyArtifact extends SealedPolicy {
  readonly file: string;
}

export interface PolicyReading {
  readonly policies: ReadonlyMap<string, PolicyArtifact>;
  readonly faults: readonly ConfigFault[];
}

const artifactSchema = (body: TSchema): TSchema =>
  Type.Composite([PolicyRevSchema, Type.Object({ body })], { additionalProperties: false });

/** Reads `policy/*.yaml` of a profile, in the order of names, and finds everything that is wrong with them. */
export function readPolicies(profileFolder: string, kinds: readonly PolicyKind[]): PolicyReading {
  const folder = join(profileFolder, 'policy');
  const names = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => /\.ya?ml$/.test(name))
        .sort()
    : [];
  const policies = new Map<string, PolicyArtifact>();
  const faults: ConfigFault[] = [];
  const files = new Map<string, YamlFile>();
  for (const name of names) {
    const file = YamlFile.read(join(folder, name));
    const found = policyFaults(file, kinds, policies);
    faults.push(...found);
    if (found.length > 0) continue;
    const artifact = artifactOf(file);
    policies.set(artifact.policy_rev.policy_id, artifact);
    files.set(artifact.policy_rev.policy_id, file);
  }
  if (faults.length === 0) {
    for (const { policy_id } of kinds) {
      if (policies.has(policy_id)) continue;
      faults.push({
        code: 'CONFIG_INVALID',
        file: folder,
        line: 1,
        message: `no policy "${policy_id}" here; add ${policy_id}.yaml`,
      });
    }
  }
  if (faults.length === 0) faults.push(...faultsAmong(files, kinds, policies));
  return { policies, faults };
}

function policyFaults(
  file: YamlFile,
  kinds: readonly PolicyKind[],
  earlier: ReadonlyMap<string, PolicyArtifact>,
): readonly ConfigFault[] {
  const outside = file.faults(artifactSchema(Type.Unknown()));
  if (outside.length > 0) return outside;
  const { policy_rev: rev } = artifactOf(file);
  const kind = kinds.find(({ policy_id }) => policy_id === rev.policy_id);
  if (kind === undefined) {
    const known = kinds.map(({ policy_id }) => policy_id).join(', ');
    return [
      file.fault('CONFIG_INVALID', ['policy_id'], `no unit reads a policy "${rev.policy_id}"; known here: ${known}`),
    ];
  }
  const twin = earlier.get(rev.policy_id);
  if (twin !== undefined) {
    return [
      file.fault(
        'CONFIG_INVALID',
        ['policy_id'],
        `the policy "${rev.policy_id}" stands in ${twin.file}, too; remove one`,
      ),
    ];
  }
  const inside = file.faults(artifactSchema(kind.schema));
  if (inside.length > 0) return inside;
  const changed = digestFault(file);
  if (changed !== undefined) return [changed];
  const { body } = artifactOf(file);
  return (kind.check?.(body as never) ?? []).map((fault) => faultIn(file, fault));
}

/** What is wrong with policies beside each other; each of them is sound by itself. */
function faultsAmong(
  files: ReadonlyMap<string, YamlFile>,
  kinds: readonly PolicyKind[],
  policies: ReadonlyMap<string, PolicyArtifact>,
): readonly ConfigFault[] {
  const bodyOf = (policyId: string): unknown => policies.get(policyId)?.body;
  return kinds.flatMap(({ policy_id, checkAmong }) => {
    const file = files.get(policy_id);
    if (checkAmong === undefined || file === undefined) return [];
    return checkAmong(bodyOf(policy_id) as never, bodyOf).map((fault) => faultIn(file, fault));
  });
}

function faultIn(file: YamlFile, { pointer, sentence }: PolicyFault): ConfigFault {
  const path = [
    'body',
    ...pointer
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')),
  ];
  return file.fault('CONFIG_INVALID', path, `"${path.join('.')}": ${sentence}`);
}

/** A file whose content is no longer what its digest names would be cited in receipts as something that it is not. */
function digestFault(file: YamlFile): ConfigFault | undefined {
  if (verifyPolicy(artifactOf(file)).ok) return undefined;
  return file.fault(
    'CONFIG_POLICY_CHANGED',
    ['content_digest'],
    `the content is not the one of this digest; undo the change, or run: probity policy seal ${file.file}`,
  );
}

/** Only for files whose outer shape has been checked. */
export function artifactOf(file: YamlFile): PolicyArtifact {
  const { body, content_digest, policy_id, revision } = file.value as PolicyRev & { readonly body: JsonValue };
  return { policy_rev: { content_digest, policy_id, revision }, body, file: file.file };
}

/** The outer shape of a policy file, for whoever is about to seal it. @throws ProbityError of the first fault */
export function demandArtifact(file: YamlFile): PolicyArtifact {
  const [fault] = file.faults(artifactSchema(Type.Unknown()));
  if (fault !== undefined) throw new ProbityError(fault.code, `${fault.file}:${fault.line}: ${fault.message}`);
  return artifactOf(file);
}
