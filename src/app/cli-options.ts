import { type Command, InvalidArgumentError } from 'commander';

export const DEFAULT_DATA_FOLDER = '.probity';

export const profiled = (command: Command): Command =>
  command
    .option('--profile <name>', 'local, dev, prod, or the path of a folder with wiring.yaml and policy/', 'local')
    .option('--data <folder>', 'where this machine keeps database, objects and keys', DEFAULT_DATA_FOLDER);

export const withJson = (command: Command): Command =>
  command.option('--json', 'answer with one JSON document, for machines');

/** What every command that talks to running processes understands. */
export const doorway = (command: Command): Command =>
  withJson(
    profiled(command)
      .option(
        '--url <address>',
        'the process to talk to (default: those of the data folder; what nobody runs is run here)',
      )
      .option('--key-file <file>', 'file with the API key to use (default: the operator’s of the data folder)'),
  );

export function asPort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError('a port is a whole number from 0 to 65535');
}

/** A parser for a whole number between the bounds. */
export const asCount =
  (min: number, max: number) =>
  (text: string): number => {
    const count = Number(text);
    if (/^\d+$/.test(text) && count >= min && count <= max) return count;
    throw new InvalidArgumentError(`a whole number from ${min} to ${max}`);
  };

/** For options that may be given several times. */
export const gathered = (text: string, before: readonly string[]): readonly string[] => [...before, text];
