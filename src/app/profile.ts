import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ProbityError } from '../rails/errors/probity-error.js';
import type { PolicyKind } from '../substrate/policy/policy.port.js';
import { artifactOf, type PolicyArtifact, readPolicies } from './policy-file.js';
import { type ConfigFault, faultError, YamlFile } from './yaml-file.js';
import { type SecretRef, Secrets } from '../substrate/secrets/secrets.port.js';
import { Wiring } from './wiring.schema.js';

/**
 * A profile: `wiring.yaml` (where things are) and `policy/*.yaml` (what is in force), as data (law E1). This file is the
 * only reader of the environment; everything else is given values.
 */
export interface Profile {
  /** The name or path that the operator gave. */
  readonly name: string;
  readonly folder: string;
  readonly wiring: Wiring;
  readonly policies: ReadonlyMap<string, PolicyArtifact>;
  /** Resolves what the wiring only names. */
  readonly settings: Settings;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The folder of the package itself: the nearest one above this file, compiled or not, with a package.json. */
export const PACKAGE_ROOT = packageRoot(fileURLToPath(new URL('.', import.meta.url)));

function packageRoot(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return resolve(folder);
  const parent = resolve(folder, '..');
  if (parent === resolve(folder)) throw new Error('no package.json above the program');
  return packageRoot(parent);
}

/** What `engines` in package.json asks for. */
export const NODE_MINIMUM = '20.19.0';

const SHIPPED = join(PACKAGE_ROOT, 'profiles');

export function shippedProfiles(): readonly string[] {
  return readdirSync(SHIPPED, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

/** `local`, `dev`, `prod` name what is shipped; anything with a slash or dot is a folder of the operator's own. */
export function profileFolder(name: string): string {
  const folder = /[/\\.]/.test(name) ? resolve(name) : join(SHIPPED, name);
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new ProbityError(
      'CONFIG_UNREADABLE',
      `${name}: there is no such profile; shipped are ${shippedProfiles().join(', ')}, and a path names a folder with a wiring.yaml`,
    );
  }
  return folder;
}

/** One policy of a profile, for a command that runs none of its units. @throws ProbityError where its file cannot be read */
export function policyOf(name: string, { policy_id }: PolicyKind): PolicyArtifact {
  return artifactOf(YamlFile.read(join(profileFolder(name), 'policy', `${policy_id}.yaml`)));
}

/** All faults at once, for `probity check-config`. A file that is not even YAML hides what else is wrong in it. */
export function profileFaults(
  name: string,
  kinds: readonly PolicyKind[],
  environment: Environment = process.env,
): readonly ConfigFault[] {
  const folder = profileFolder(name);
  const faults: ConfigFault[] = [];
  const collect = (work: () => readonly ConfigFault[]): void => {
    try {
      faults.push(...work());
    } catch (error) {
      if (!(error instanceof ProbityError)) throw error;
      faults.push(asFault(error));
    }
  };
  collect(() => {
    const file = YamlFile.read(join(folder, 'wiring.yaml'));
    const shape = wiringFaults(file);
    return shape.length > 0 ? shape : secretFaults(file, environment);
  });
  collect(() => readPolicies(folder, kinds).faults);
  return faults;
}

/** @throws ProbityError of the first fault, which names file, line and remedy */
export function loadProfile(
  name: string,
  kinds: readonly PolicyKind[],
  environment: Environment = process.env,
): Profile {
  const [first] = profileFaults(name, kinds, environment);
  if (first !== undefined) throw faultError(first);
  const folder = profileFolder(name);
  const file = YamlFile.read(join(folder, 'wiring.yaml'));
  return {
    name,
    folder,
    wiring: file.as(Wiring),
    policies: readPolicies(folder, kinds).policies,
    settings: new Settings(file.file, environment),
  };
}

/** Turns names of places into values. It holds no secret: each is read when asked for and kept by nobody but the asker. */
export class Settings extends Secrets {
  readonly #environment: Environment;

  constructor(
    private readonly file: string,
    environment: Environment,
  ) {
    super();
    this.#environment = environment;
  }

  text(setting: string | { readonly env: string }): string {
    return typeof setting === 'string' ? setting : this.#variable(setting.env);
  }

  /** Whether a secret can be had at all, for what only some processes need. */
  has(ref: SecretRef): boolean {
    return 'env' in ref ? (this.#environment[ref.env] ?? '') !== '' : existsSync(ref.file);
  }

  integer(setting: number | { readonly env: string }): number {
    if (typeof setting === 'number') return setting;
    const value = Number(this.#variable(setting.env));
    if (Number.isSafeInteger(value)) return value;
    throw new ProbityError(
      'CONFIG_INVALID',
      `${this.file}: the environment variable ${setting.env} is not a whole number`,
    );
  }

  read(ref: SecretRef): string {
    if ('env' in ref) return this.#variable(ref.env);
    try {
      return readFileSync(ref.file, 'utf8').trim();
    } catch (cause) {
      const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
      throw new ProbityError('CONFIG_SECRET_MISSING', `${this.file}: the file ${ref.file} cannot be read (${reason})`);
    }
  }

  #variable(name: string): string {
    const value = this.#environment[name];
    if (value !== undefined && value !== '') return value;
    throw new ProbityError('CONFIG_SECRET_MISSING', `${this.file}: the environment variable ${name} is not set`);
  }
}

/** Keys under which only `{env: …}` or `{file: …}` may stand. */
const SECRET_KEYS = new Set([
  'password',
  'role_secret',
  'access_key_id',
  'secret_access_key',
  'service_key',
  'otlp_headers',
]);
const URL_WITH_PASSWORD = /^[a-z][a-z0-9+.-]*:\/\/[^/\s:@]*:[^/\s@]+@/i;

/** The shape of the wiring; a secret in clear is reported as that, not as a wrong type, and never shown. */
function wiringFaults(file: YamlFile): readonly ConfigFault[] {
  const inline: ConfigFault[] = [];
  walk(file.value, [], (path, value) => {
    const key = path.at(-1);
    if (typeof value !== 'string') return;
    const isSecret = (typeof key === 'string' && SECRET_KEYS.has(key)) || URL_WITH_PASSWORD.test(value);
    if (!isSecret) return;
    const remedy = 'write {env: NAME} or {file: PATH} in its place and change the secret: it has been seen';
    inline.push(file.fault('CONFIG_SECRET_INLINE', path, `"${path.join('.')}" holds a secret in clear; ${remedy}`));
  });
  return inline.length > 0 ? inline : file.faults(Wiring);
}

/** Every place that the wiring names must exist before the program starts, so that it does not fail an hour later. */
function secretFaults(file: YamlFile, environment: Environment): readonly ConfigFault[] {
  const faults: ConfigFault[] = [];
  const { database } = file.as(Wiring);
  // A process that does not migrate must be able to run without the credentials of whoever does.
  const needsAdmin = database.kind === 'external' && database.migrate_at_start;
  walk(file.value, [], (path, value) => {
    const key = path.at(-1);
    if (typeof value !== 'string') return;
    if (!needsAdmin && path[0] === 'database' && path[1] === 'admin') return;
    if (key === 'env' && path.length > 1 && (environment[value] ?? '') === '') {
      faults.push(
        file.fault(
          'CONFIG_SECRET_MISSING',
          path,
          `the environment variable ${value} is not set; set it, or name another`,
        ),
      );
    }
    if (key === 'file' && !existsSync(value)) {
      faults.push(
        file.fault('CONFIG_SECRET_MISSING', path, `the file ${value} does not exist; provide it, or name another`),
      );
    }
  });
  return faults;
}

function walk(value: unknown, path: readonly string[], visit: (path: readonly string[], value: unknown) => void): void {
  visit(path, value);
  if (typeof value !== 'object' || value === null) return;
  for (const [key, child] of Object.entries(value)) walk(child, [...path, key], visit);
}

function asFault(error: ProbityError): ConfigFault {
  const { file, line } = error.data;
  const place = typeof file === 'string' && typeof line === 'number' ? { file, line } : { file: 'profile', line: 1 };
  return { code: error.code, ...place, message: error.detail.replace(`${place.file}:${place.line}: `, '') };
}
