/**
 * Pachyderm's pipeline specification, release 1.9 to 1.13 (CreatePipelineRequest of pps.proto): the
 * one source of the checks and of the JSON schema.
 */
export type FieldType =
  | { readonly type: 'string'; readonly pattern?: RegExp }
  | { readonly type: 'boolean' | 'any' }
  | { readonly type: 'integer' | 'number'; readonly min?: number }
  | { readonly type: 'list'; readonly of: FieldType }
  | { readonly type: 'map' } // of strings to strings
  | { readonly type: 'object'; readonly fields: Fields }

export type Fields = { readonly [name: string]: FieldType & { readonly about: string } }

const text = (about: string) => ({ type: 'string', about }) as const
const flag = (about: string) => ({ type: 'boolean', about }) as const
const integer = (about: string, min = 0) => ({ type: 'integer', min, about }) as const
const texts = (about: string) => ({ type: 'list', of: { type: 'string' }, about }) as const
const map = (about: string) => ({ type: 'map', about }) as const
const object = <F extends Fields>(about: string, fields: F) =>
  ({ type: 'object', fields, about }) as const
const duration = (about: string) =>
  ({ type: 'string', pattern: /^(\d+(\.\d+)?(ns|us|ms|s|m|h))+$/, about }) as const

/** A pipeline's name as Pachyderm accepts it (ancestry.ValidateName, since 1.9.6). */
export const PIPELINE_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$/

const service = object('Ports that the pipeline listens on.', {
  internal_port: integer('Port that the program listens on.', 1),
  external_port: integer('Port of the node that leads there.', 1),
  ip: text('Set by Pachyderm.'),
  type: text('Kind of Kubernetes service; NodePort by default.'),
})

const resources = (about: string) =>
  object(about, {
    cpu: { type: 'number', min: 0, about: 'Number of cores.' },
    memory: text('Memory, such as 512M.'),
    disk: text('Disk space, such as 1G.'),
    gpu: object('GPUs.', { type: text('Kind of GPU.'), number: integer('How many.') }),
  })

const pfsInput = {
  name: text('Folder under /pfs; the name of the repository by default.'),
  repo: text('The repository, for a spout the name of its pipeline.'),
  branch: text('The branch; master by default.'),
  commit: text('Set by Pachyderm.'),
  glob: text('What one datum is: / everything, /* each file and folder at the top.'),
  join_on: text('Part of the glob pattern to join on.'),
  outer_join: flag('Keep datums that nothing joins.'),
  group_by: text('Part of the glob pattern to group by.'),
  lazy: flag('Files are named pipes, read on demand.'),
  empty_files: flag('Files have no content.'),
  s3: flag('Read through the S3 gateway instead of /pfs.'),
} as const

const INPUT: Fields = {
  pfs: object('A repository.', pfsInput),
  cron: object('A clock.', {
    name: text('Name of the input.'),
    repo: text('Name of the repository that holds the ticks.'),
    commit: text('Set by Pachyderm.'),
    spec: text('When, as in crontab.'),
    overwrite: flag('Keep the last tick only.'),
    start: text('When it begins.'),
  }),
  git: object('A git repository.', {
    name: text('Name of the input.'),
    url: text('Address of the repository.'),
    branch: text('The branch.'),
    commit: text('Set by Pachyderm.'),
  }),
  join: { type: 'list', of: { type: 'any' }, about: 'Inputs to join.' },
  group: { type: 'list', of: { type: 'any' }, about: 'Inputs to group.' },
  cross: {
    type: 'list',
    of: { type: 'any' },
    about: 'Inputs, every combination of which is a datum.',
  },
  union: { type: 'list', of: { type: 'any' }, about: 'Inputs, each datum of which is one.' },
}

export const SPEC_FIELDS: Fields = {
  pipeline: object('The pipeline.', {
    name: { type: 'string', pattern: PIPELINE_NAME, about: 'Its name.' },
  }),
  description: text('What it does.'),
  metadata: object('Kubernetes metadata.', {
    annotations: map('Annotations.'),
    labels: map('Labels.'),
  }),
  transform: object('What the pipeline runs.', {
    image: text('Docker image.'),
    cmd: texts('The program and its arguments.'),
    err_cmd: texts('What runs when cmd fails; not for spouts.'),
    env: map('Environment variables.'),
    secrets: {
      type: 'list',
      of: {
        type: 'object',
        fields: {
          name: text('Name of the Kubernetes secret.'),
          key: text('Which of its keys.'),
          mount_path: text('Folder it is mounted at.'),
          env_var: text('Environment variable it is put in.'),
        },
      },
      about: 'Kubernetes secrets.',
    },
    image_pull_secrets: texts('Secrets to pull the image with.'),
    stdin: texts('Lines for standard input.'),
    err_stdin: texts('Lines for the standard input of err_cmd.'),
    accept_return_code: {
      type: 'list',
      of: { type: 'integer', min: 0 },
      about: 'Exit codes that count as success.',
    },
    debug: flag('Log more.'),
    user: text('User to run as.'),
    working_dir: text('Folder to run in.'),
    dockerfile: text('Path of the Dockerfile.'),
    build: object('How pachctl builds the image; not for spouts.', {
      path: text('Folder of the sources.'),
      language: text('Their language.'),
      image: text('Base image.'),
    }),
  }),
  spout: object(
    'Makes the pipeline a spout, even if it is empty: it writes archives to /pfs/out.',
    {
      overwrite: flag('Replace files that come again, instead of appending to them.'),
      marker: text('Name that the entries of the marker begin with.'),
      service,
    },
  ),
  input: object('Where its data comes from; not for spouts.', INPUT),
  output_branch: {
    type: 'string',
    pattern: /^[a-zA-Z0-9][a-zA-Z0-9._-]*$/,
    about: 'Branch that is committed to.',
  },
  egress: object('Where the results are copied to.', { URL: text('Address of an object store.') }),
  parallelism_spec: object('How many workers.', {
    constant: integer('So many.'),
    coefficient: { type: 'number', min: 0, about: 'So many for each node.' },
  }),
  hashtree_spec: object('How many shards of file metadata.', { constant: integer('So many.', 1) }),
  resource_requests: resources('What a worker asks for.'),
  resource_limits: resources('What a worker is limited to.'),
  sidecar_resource_limits: resources('What the storage container is limited to.'),
  cache_size: {
    type: 'string',
    pattern: /^\d+(\.\d+)?([kKMGTPE]i?)?$/,
    about: 'Memory for caching, such as 64M.',
  },
  enable_stats: flag('Collect statistics; not for spouts.'),
  max_queue_size: integer('Datums fetched ahead.'),
  service,
  chunk_spec: object('How datums are grouped.', {
    number: integer('So many.'),
    size_bytes: integer('So large.'),
  }),
  datum_timeout: duration('Longest time for a datum, such as 30s.'),
  job_timeout: duration('Longest time for a job.'),
  datum_tries: integer('How often a datum is tried.'),
  salt: text('Part of the hash that tells datums apart.'),
  standby: flag('Stop the workers while there is nothing to do.'),
  s3_out: flag('Write through the S3 gateway; not for spouts.'),
  scheduling_spec: object('Where the workers run.', {
    node_selector: map('Labels of the node.'),
    priority_class_name: text('Priority class.'),
  }),
  pod_spec: text('JSON that is merged into the pod specification.'),
  pod_patch: text('JSON patch of the pod specification.'),
  tf_job: object('Kubeflow job; refused.', { tf_job: text('JSON.') }),
  update: flag('Update the pipeline if it is there.'),
  reprocess: flag('On update, begin anew.'),
  spec_commit: { type: 'any', about: 'Set by Pachyderm.' },
}

/** The lowerCamelCase form that protobuf's JSON accepts beside the snake_case one. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}
