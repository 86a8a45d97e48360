# What LemonLDAP::NG's handler of the type AuthBasic, and a script that calls SOAP by hand, are answered about people: each check
# prints a line that says what is wrong.
use strict;
use warnings;
use MIME::Base64;
use SOAP::Lite;
use Lemonldap::NG::Common::Crypto;
use Lemonldap::NG::Handler::Lib::AuthBasic;

my ( $check, $server, $user, $password ) = @ARGV;
my $cipher = Lemonldap::NG::Common::Crypto->new('qwertyuiop123456');

sub wrong { print "@_\n" }

# The handler around its class: what that takes from it.
{
    package Handler;
    our @ISA = ('Lemonldap::NG::Handler::Lib::AuthBasic');
    sub tsv {
        return { portal => sub {"http://$server/"}, cipher => $cipher, timeout => 72000, keyH => 'x', lwpOpts => {}, lwpSslOpts => {} };
    }
    sub logger     { 'Log' }
    sub userLogger { 'Log' }
    package Log;
    sub AUTOLOAD { }
}

sub asked_by {
    my ( $name, $word ) = @_;
    return bless { env => { HTTP_AUTHORIZATION => 'Basic ' . encode_base64( "$name:$word", '' ), REMOTE_ADDR => '192.0.2.7' } }, 'Request';
}
{ package Request; sub env { $_[0]->{env} } }

sub calls {
    my ( $path, $method, @arguments ) = @_;
    my $proxy = SOAP::Lite->proxy("http://$server/$path")->uri('urn:Lemonldap/NG/Common/PSGI/SOAPService');
    return $proxy->call( $method => @arguments );
}

my %checks = (
    authbasic => sub {
        my $right = asked_by( $user, $password );
        my $id = Handler->fetchId($right);
        wrong('nobody is logged in') unless Handler->createSession( $right, $id );
        my $session = calls( 'sessions', 'getAttributes', $id )->result;
        wrong( 'error', $session->{error} ) if $session->{error};
        wrong('it is of somebody else') unless ( $session->{attributes}->{_session_id} // '' ) eq $id;
        wrong( 'they are at', $session->{attributes}->{ipAddr} // '' )
          unless ( $session->{attributes}->{ipAddr} // '' ) eq '192.0.2.7';
        wrong('the second request is refused') unless Handler->createSession( $right, $id );
        for ( [ $user, 'wrong' ], [ 'nobody', $password ] ) {
            my $other = asked_by(@$_);
            my $made = Handler->fetchId($other);
            wrong("@$_ is let in") if Handler->createSession( $other, $made );
            wrong("@$_ has a session") unless calls( 'sessions', 'getAttributes', $made )->result->{error} == 1;
        }
    },
    methods => sub {
        my $told = calls( 'sessions', 'getCookies', $user, $password )->result;
        wrong( 'error', $told->{errorCode} ) if $told->{errorCode};
        my $id = $told->{cookies}->{lemonldap} or wrong('there is no cookie');
        wrong('a wrong password is right') unless calls( 'sessions', 'getCookies', $user, 'x' )->result->{errorCode} == 5;
        wrong('no password is right') unless calls( 'sessions', 'getCookies', $user )->result->{errorCode} == 2;
        my $forced = 'ab' x 32;
        $told = calls( 'sessions', 'getCookies', $user, $password, $forced )->result;
        wrong('it has another id') unless $told->{cookies}->{lemonldap} eq $forced;
        my $may = sub { calls( 'sessions', 'isAuthorizedURI', $_[0], $_[1] )->result };
        wrong('they may not') unless $may->( $id, 'http://test1.example.com/x' ) == 1;
        wrong('they may everywhere') unless $may->( $id, 'http://test2.example.com/' ) == 0;
        wrong('nobody may') unless $may->( '0' x 64, 'http://test1.example.com/' ) == 0;
        wrong('it means nothing') unless calls( 'sessions', 'error', 5, 'en' )->result;
        my $fault = calls( 'sessions', 'getMenuApplications', $id )->faultstring // '';
        wrong( 'the fault is', $fault ) unless $fault =~ /Failed to locate method/;
        for my $method ( 'setAttributes', 'newSession', 'deleteSession', 'getCipheredToken', 'get_key_from_all_sessions' ) {
            $fault = calls( 'sessions', $method, $id )->faultstring // '';
            wrong( "$method:", $fault ) unless $fault =~ /$method is not an authorized function/;
        }
    },
);

$checks{$check}->();
print "done\n";
