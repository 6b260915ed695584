#!/usr/bin/env bash
# Leaves the cluster in order when AWS says that it takes this spot machine away: spot-notice.sh SECONDS
#
# AWS gives two minutes; SECONDS is how many of them may be used. METADATA is where a machine asks about itself.
set -euo pipefail
within=$1
metadata=${METADATA:-http://169.254.169.254}
poll_s=5

noticed() {
    local token
    token=$(curl --silent --fail --max-time 5 -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" \
        "$metadata/latest/api/token") || return 1
    # 404 until there is a notice.
    curl --silent --fail --max-time 5 -H "X-aws-ec2-metadata-token: $token" \
        "$metadata/latest/meta-data/spot/instance-action" > /dev/null
}

until noticed; do sleep "$poll_s"; done
exec python -m infra.jobs.leaving --within "$within"
