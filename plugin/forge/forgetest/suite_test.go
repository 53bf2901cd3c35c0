package forgetest_test

import (
	"testing"

	"github.com/seedling-dev/seedling/plugin/forge/forgetest"
)

func TestGitea(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, forgetest.Gitea())
}

func TestForgejo(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, forgetest.Forgejo())
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, forgetest.GitHub())
}

func TestGitHubApp(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, forgetest.GitHubApp())
}

func TestGitLab(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, forgetest.GitLab())
}

func TestGitLabToken(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, forgetest.GitLabToken())
}

func TestBitbucket(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, forgetest.Bitbucket())
}

func TestBitbucketDC(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, forgetest.BitbucketDC())
}

func TestAzure(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, forgetest.Azure())
}
