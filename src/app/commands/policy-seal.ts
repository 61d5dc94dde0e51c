import { writeFileSync } from 'node:fs';
import { sealPolicy, verifyPolicy } from '../../rails/policy-rev.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { demandArtifact } from '../policy-file.js';
import type { Terminal } from '../terminal.js';
import { YamlFile } from '../yaml-file.js';

/** The digest of a file that has never been sealed. */
const UNSEALED = '0'.repeat(64);

/**
 * Writes the digest of the content into the file. When the content has changed since the last sealing, the revision
 * rises first: one revision never names two contents (law C1). Everything else in the file, comments included, stays.
 */
export function sealPolicyFile(path: string, terminal: Terminal): ExitCode {
  const file = YamlFile.read(path);
  const artifact = demandArtifact(file);
  const { policy_id, revision, content_digest } = artifact.policy_rev;
  if (verifyPolicy(artifact).ok) {
    terminal.answer({ ...artifact.policy_rev, changed: false }, [
      `${path} is sealed already: ${policy_id} revision ${revision}.`,
    ]);
    return EXIT.OK;
  }
  const next = content_digest === UNSEALED ? revision : revision + 1;
  const { policy_rev } = sealPolicy(policy_id, next, artifact.body);
  let text = replaceLine(file.text, 'revision', String(next), path);
  text = replaceLine(text, 'content_digest', `'${policy_rev.content_digest}'`, path);
  writeFileSync(path, text);
  terminal.answer({ ...policy_rev, changed: true }, [
    `Sealed ${path}: ${policy_id} revision ${next}, digest ${policy_rev.content_digest}.`,
  ]);
  return EXIT.OK;
}

/** Top-level keys only: the body's own keys are indented. */
function replaceLine(text: string, key: string, value: string, path: string): string {
  const line = new RegExp(`^${key}:.*$`, 'm');
  if (!line.test(text))
    throw new ProbityError('CONFIG_INVALID', `${path}: "${key}" must stand on a line of its own to be sealed`);
  return text.replace(line, `${key}: ${value}`);
}
