import { posix } from 'node:path';
import ts from 'typescript';

/** A source file as the rules see it. */
export interface SourceText {
  /** From the project's root, with forward slashes: `src/rails/basis.ts`. */
  readonly path: string;
  readonly text: string;
}

export interface Violation {
  readonly path: string;
  readonly line: number;
  /** What is not allowed, why, and what to do instead. */
  readonly message: string;
}

interface Import {
  readonly specifier: string;
  /** The project's path it leads to, or undefined for a package. */
  readonly target: string | undefined;
  readonly line: number;
}

interface Rule {
  readonly appliesTo: (path: string) => boolean;
  readonly forbids: (found: Import, path: string) => boolean;
  readonly message: string;
}

const under = (folder: string) => (path: string) => path.startsWith(`${folder}/`);
const isProduct = (path: string): boolean => path.startsWith('src/') && !path.endsWith('.spec.ts');
const isPackage = (found: Import, ...names: readonly string[]): boolean =>
  found.target === undefined &&
  names.some((name) => found.specifier === name || found.specifier.startsWith(`${name}/`));

/** Libraries that compute and do nothing else; whatever the rails import from outside stands here. */
const PURE_PACKAGES = [
  'canonicalize',
  '@marcbachmann/cel-js',
  '@sinclair/typebox',
  'ajv',
  'ajv-formats',
  'node:crypto',
];

/** In the same folder, or in one above it within the same unit or substrate: what its own unit is made of. */
const isBesideOrAbove = (target: string, path: string): boolean =>
  posix.dirname(target).split('/').length >= 3 && `${posix.dirname(path)}/`.startsWith(`${posix.dirname(target)}/`);

const unitOf = (path: string): string | undefined => /^src\/modules\/([^/]+)\//.exec(path)?.[1];

/** The table of docs/ARCHITECTURE.md, as code. */
const RULES: readonly Rule[] = [
  {
    appliesTo: (path) => under('src/rails')(path) && isProduct(path),
    forbids: (found) =>
      found.target === undefined ? !isPackage(found, ...PURE_PACKAGES) : !under('src/rails')(found.target),
    message: 'the rails must be provable without the world: import nothing but rails and pure libraries here',
  },
  {
    appliesTo: (path) => under('src/substrate')(path) && isProduct(path),
    forbids: (found) =>
      found.target !== undefined && (under('src/modules')(found.target) || under('src/app')(found.target)),
    message: 'a substrate serves and does not know whom: pass what it needs as an argument',
  },
  {
    appliesTo: (path) => unitOf(path) !== undefined && isProduct(path),
    forbids: (found, path) => {
      const other = found.target === undefined ? undefined : unitOf(found.target);
      return other !== undefined && other !== unitOf(path) && !found.target?.endsWith('.port.ts');
    },
    message: "a unit's truth is reached through its port: import the other unit's `.port.ts`",
  },
  {
    appliesTo: (path) => path.endsWith('.core.ts'),
    forbids: (found, path) =>
      found.target === undefined
        ? !isPackage(found, ...PURE_PACKAGES)
        : !under('src/rails')(found.target) && !isBesideOrAbove(found.target, path),
    message: 'a core decides and does nothing else: it imports rails and the types beside it, and is given the rest',
  },
  {
    appliesTo: (path) => /^src\/(modules|substrate|rails)\//.test(path),
    forbids: (found) => found.target !== undefined && under('src/app')(found.target),
    message: 'nobody may ask which roles run: only src/app knows the composition',
  },
  {
    appliesTo: (path) => isProduct(path) && !/^src\/substrate\/bus\/kafka(\.|\/)/.test(path),
    forbids: (found) => isPackage(found, 'kafkajs'),
    message: 'a driver has one home: kafkajs belongs to the Kafka adapter of the bus; use the Bus port',
  },
  {
    appliesTo: (path) => isProduct(path) && path !== 'src/substrate/objects/s3.objects.ts',
    forbids: (found) => isPackage(found, '@aws-sdk', '@smithy'),
    message: 'a driver has one home: the AWS SDK belongs to the S3 adapter; use the Objects port',
  },
  {
    appliesTo: (path) => isProduct(path) && !under('src/substrate/database')(path),
    forbids: (found, path) =>
      isPackage(found, 'pg') || (isPackage(found, 'typeorm') && !/\.(store|entity)\.ts$/.test(path)),
    message:
      'a driver has one home: pg belongs to the database substrate, typeorm to it and to stores; use the Database port',
  },
  {
    appliesTo: (path) => isProduct(path) && path !== 'src/app/telemetry.ts',
    forbids: (found) => found.target === undefined && /^@opentelemetry\/(?!api$)/.test(found.specifier),
    message: 'the SDK of OpenTelemetry belongs to src/app/telemetry.ts; everything else uses @opentelemetry/api',
  },
];

/** The one reader of the environment. */
const ENVIRONMENT_READER = 'src/app/profile.ts';

export function violationsOf(source: SourceText): readonly Violation[] {
  const file = ts.createSourceFile(source.path, source.text, ts.ScriptTarget.ES2022, true);
  const found: Violation[] = [];
  for (const each of importsOf(source.path, file)) {
    for (const rule of RULES) {
      if (rule.appliesTo(source.path) && rule.forbids(each, source.path)) {
        found.push({ path: source.path, line: each.line, message: `${each.specifier}: ${rule.message}` });
      }
    }
  }
  if (isProduct(source.path) && source.path !== ENVIRONMENT_READER) {
    for (const line of environmentReads(file)) {
      found.push({
        path: source.path,
        line,
        message: `process.env: only ${ENVIRONMENT_READER} reads the environment; take the value as an argument`,
      });
    }
  }
  return found;
}

/** Static imports, re-exports, `import()` and `require()` alike: each is a way to reach a file. */
function importsOf(path: string, file: ts.SourceFile): readonly Import[] {
  const imports: Import[] = [];
  const add = (literal: ts.Expression | undefined): void => {
    if (literal === undefined || !ts.isStringLiteralLike(literal)) return;
    imports.push({ specifier: literal.text, target: targetOf(path, literal.text), line: lineOf(file, literal) });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier);
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal);
    if (ts.isCallExpression(node)) {
      const isRequire = ts.isIdentifier(node.expression) && node.expression.text === 'require';
      if (isRequire || node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0]);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return imports;
}

function targetOf(path: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  return posix.normalize(posix.join(posix.dirname(path), specifier)).replace(/\.js$/, '.ts');
}

/** `process.env`, `process['env']`, `{ env } = process` and `import { env } from 'node:process'`. */
function environmentReads(file: ts.SourceFile): readonly number[] {
  const lines: number[] = [];
  const isProcess = (node: ts.Node | undefined): boolean =>
    node !== undefined && ts.isIdentifier(node) && node.text === 'process';
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node) && isProcess(node.expression) && node.name.text === 'env')
      lines.push(lineOf(file, node));
    if (ts.isElementAccessExpression(node) && isProcess(node.expression)) lines.push(lineOf(file, node));
    if (ts.isVariableDeclaration(node) && ts.isObjectBindingPattern(node.name) && isProcess(node.initializer)) {
      if (/\benv\b/.test(node.name.getText(file))) lines.push(lineOf(file, node));
    }
    if (
      ts.isImportDeclaration(node) &&
      ts.isStringLiteral(node.moduleSpecifier) &&
      /^(node:)?process$/.test(node.moduleSpecifier.text)
    ) {
      if (/\benv\b/.test(node.importClause?.getText(file) ?? '')) lines.push(lineOf(file, node));
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return lines;
}

function lineOf(file: ts.SourceFile, node: ts.Node): number {
  return file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
}

/** The first circle of imports among these files, as the path that closes it; empty when there is none. */
export function circleOf(sources: readonly SourceText[]): readonly string[] {
  const known = new Map(sources.map((source) => [source.path, source]));
  const done = new Set<string>();

  const visit = (path: string, trail: readonly string[]): readonly string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    const source = known.get(path);
    if (source === undefined || done.has(path)) return [];
    const file = ts.createSourceFile(path, source.text, ts.ScriptTarget.ES2022, true);
    for (const { target } of importsOf(path, file)) {
      const circle = target === undefined ? [] : visit(target, [...trail, path]);
      if (circle.length > 0) return circle;
    }
    done.add(path);
    return [];
  };

  for (const { path } of sources) {
    const circle = visit(path, []);
    if (circle.length > 0) return circle;
  }
  return [];
}
